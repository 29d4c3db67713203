import t from 'tap'
import { agentPaths, below } from '../../../../agent/host/paths.ts'

t.test('every path of the machine is below the root', async (t) => {
  t.equal(below('/', '/etc/x'), '/etc/x')
  t.equal(below('/vm', '/etc/x'), '/vm/etc/x')
  t.equal(below('/vm', 'relative/x'), 'relative/x')
  const paths = agentPaths('/vm', 'a.yaml', { state: '/var/lib/mooring', run: '/run/mooring' })
  t.same(paths, {
    root: '/vm',
    config: 'a.yaml',
    state: '/vm/var/lib/mooring',
    stateFile: '/vm/var/lib/mooring/state.json',
    lock: '/vm/var/lib/mooring/agent.lock',
    socket: '/vm/run/mooring/agent.sock',
    log: '/vm/var/log/mooring',
  })
})
