import t from 'tap'
import { readStatusView, type StatusView, statusText } from '../../../../agent/commands/status.ts'

const view: StatusView = {
  version: '1.0.0',
  stage: 'converging',
  health: 'unknown',
  controller: 'https://c:8443',
  connected: false,
  trouble: 'refused',
  pool: 'web',
  bundleRevision: 'r1',
  sidecar: { running: false, restarts: 0 },
  conditions: [
    { type: 'HostFit', status: 'True', reason: 'Done', message: '', since: 1 },
    { type: 'SidecarInstalled', status: 'False', reason: 'DISK_FULL', message: '/var', since: 1 },
    { type: 'OfTheFuture', status: 'True', reason: 'Done', message: '', since: 1 },
  ],
}

t.test('the first fault is shown with its fix', async (t) => {
  const text = statusText(view)
  t.match(text, /^stage {8}converging$/m)
  t.match(text, /^controller {3}https:\/\/c:8443 \(refused\)$/m)
  t.match(text, /^ {2}SidecarInstalled {3}False {3}DISK_FULL: \/var$/m)
  t.match(text, /There is no room to write\.\nfix: Free space/)
  t.notMatch(text, 'OfTheFuture')
})

t.test('a VM that serves has nothing to mend', async (t) => {
  const text = statusText({
    ...view,
    stage: 'serving',
    connected: true,
    vm: 'vm-1',
    certificateUntil: Date.UTC(2030, 0, 1),
    sidecar: { running: true, version: '1.29.1', pid: 7, restarts: 1 },
    conditions: view.conditions.slice(0, 1),
  })
  t.match(text, /runs, 1\.29\.1, pid 7, 1 restarts/)
  t.match(text, /valid until 2030-01-01T00:00:00.000Z/)
  t.notMatch(text, /fix:/)
})

t.test('an answer of another release is refused', async (t) => {
  t.same(readStatusView(view), view)
  t.throws(() => readStatusView({ stage: 1 }), { code: 'INTERNAL' })
})
