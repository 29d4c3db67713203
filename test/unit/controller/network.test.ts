import t from 'tap'
import { bareHost, controllerHosts, urlHost } from '../../../controller/network.ts'

const machine = { hostname: 'box', addresses: ['127.0.0.1', '::1', '10.0.0.5', 'fe80::1', '2001:DB8::5'] }

t.test('what is advertised comes first, then the machine as it is', async (t) => {
  t.same(
    controllerHosts({
      ...machine,
      advertise: ['https://c.example:8443/', '192.0.2.1'],
      listenHost: '0.0.0.0',
    }),
    ['c.example', '192.0.2.1', '10.0.0.5', '2001:db8::5', 'box', 'localhost', '127.0.0.1'],
  )
})

t.test('a listener on one address has that one', async (t) => {
  t.same(controllerHosts({ ...machine, advertise: [], listenHost: '10.0.0.5' }), [
    '10.0.0.5',
    'box',
    'localhost',
    '127.0.0.1',
  ])
  t.same(controllerHosts({ ...machine, advertise: [], listenHost: '127.0.0.1' }), [
    '127.0.0.1',
    'box',
    'localhost',
  ])
})

t.test('hosts out of URLs', async (t) => {
  t.equal(bareHost('https://a.example:1/x'), 'a.example')
  t.equal(bareHost('https://[::1]:1'), '::1')
  t.equal(bareHost('::1'), '::1')
  t.equal(bareHost('a:1'), 'a')
  t.equal(urlHost('::1'), '[::1]')
  t.equal(urlHost('a'), 'a')
})
