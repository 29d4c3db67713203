import t from 'tap'
import { containerCommand, overlayOptions } from '../../../testbed/machines/container-command.ts'

const overlay = { layers: ['/top', '/base'], upper: '/m/disk', work: '/m/work', merged: '/m/root' }

t.test('the uppermost layer is the first', async (t) => {
  t.equal(overlayOptions(overlay), 'lowerdir=/top:/base,upperdir=/m/disk,workdir=/m/work')
})

t.test('a container is in its namespace, and its shares cannot be written', async (t) => {
  const line = containerCommand({
    overlay,
    name: 'vm-a',
    group: 'g',
    namespacePath: '/run/netns/n',
    shares: [{ from: '/a:b', at: '/srv' }],
  })
  t.same(line.slice(0, 3), ['nsenter', '--net=/run/netns/n', '--'])
  t.ok(line.includes('--network-namespace-path=/run/netns/n'))
  t.ok(line.includes('--bind-ro=/a\\:b:/srv'))
})
