import t from 'tap'
import { cardsOf, seedFiles } from '../../../testbed/machines/seed.ts'

t.test('a seed names the machine and gives its cards their addresses', async (t) => {
  const files = seedFiles('vm-a', cardsOf(3, true), {
    userData: '#cloud-config\n{}\n',
    metaData: { pool: 'web' },
  })
  t.same(Object.keys(files).toSorted(), ['meta-data', 'network-config', 'user-data'])
  t.same(JSON.parse(files['meta-data'] ?? ''), {
    'instance-id': 'vm-a',
    'local-hostname': 'vm-a',
    pool: 'web',
  })
  const { version, ethernets } = JSON.parse(files['network-config'] ?? '')
  t.equal(version, 2)
  t.same(ethernets.eth0.addresses, ['10.77.0.213/24', 'fd77::213/64'])
  t.equal(ethernets.eth0.gateway4, '10.77.0.1')
  t.same(ethernets.eth1.addresses, ['10.79.0.213/24', 'fd79::213/64'])
  t.notOk('gateway4' in ethernets.eth1, 'one way out is enough')
})

t.test('a clone has another instance id, and no machine another one’s hardware address', async (t) => {
  const files = seedFiles('vm-a', cardsOf(0, false), {
    instanceId: 'clone-1',
    vendorData: '#cloud-config\n{}\n',
  })
  t.match(files['meta-data'], '"instance-id": "clone-1"')
  t.ok('vendor-data' in files)
  const macs = Array.from({ length: 45 }, (_, number) => cardsOf(number, true).map((card) => card.mac)).flat()
  t.equal(new Set(macs).size, 90)
})
