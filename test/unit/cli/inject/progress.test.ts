import t from 'tap'
import { closingLines, progressLines } from '../../../../cli/inject/progress.ts'
import type { InjectedVm, InjectionView } from '../../../../shared/api/injection.ts'

const vm = (more: Partial<InjectedVm>): InjectedVm => ({
  ...{ host: '10.0.0.7', port: 22, state: 'running', step: 'connecting', reconnects: 0 },
  ...more,
})
const view = (...vms: readonly InjectedVm[]): InjectionView => ({
  ...{ id: 'inj-1', pool: 'web', action: 'inject', by: 'operator:ada', createdAt: 1 },
  vms: [...vms],
})

t.test('a line for what changed, and none for what did not', async (t) => {
  const waiting = view(vm({ state: 'waiting', step: 'waiting' }))
  const looking = view(vm({ step: 'looking' }))
  t.same(progressLines(undefined, waiting), [])
  t.same(progressLines(waiting, looking), ['10.0.0.7  looking'])
  t.same(progressLines(looking, looking), [])
  const sent = (bytes: number, reconnects = 0) =>
    view(vm({ step: 'uploading', sent: { bytes, of: 100 }, reconnects }))
  t.same(progressLines(sent(26), sent(49)), [])
  t.same(progressLines(sent(49), sent(50)), ['10.0.0.7  uploading 50 %'])
  t.same(progressLines(sent(50), sent(50, 1)), ['10.0.0.7  uploading 50 %, connected 2 times'])
  const done = (more: Partial<InjectedVm>) => view(vm({ state: 'done', ...more }))
  t.same(progressLines(looking, done({ vm: 'vm-1', phase: 'ready', changed: true })), [
    '10.0.0.7  injected: vm-1 is ready',
  ])
  t.same(progressLines(looking, done({ vm: 'vm-1', phase: 'ready', changed: false })), [
    '10.0.0.7  unchanged: vm-1 is ready',
  ])
  t.same(progressLines(looking, done({ changed: true })), ['10.0.0.7  removed'])
  t.same(progressLines(looking, done({ changed: false })), ['10.0.0.7  there was nothing to remove'])
})

t.test('at the end: keys at first sight, causes and fixes, and what was not taken back', async (t) => {
  const lines = closingLines(
    view(
      vm({ state: 'done', pinned: true, hostKey: 'SHA256:x' }),
      vm({ state: 'failed', code: 'SSH_CUT', detail: '10.0.0.7:22', undone: false }),
      vm({ state: 'failed', code: 'OF_A_NEWER_RELEASE' }),
    ),
  )
  t.same(lines.slice(0, 3), [
    '10.0.0.7: its key SHA256:x was taken at first sight',
    '10.0.0.7: The connection to the machine was cut again and again (SSH_CUT)',
    '  cause: 10.0.0.7:22',
  ])
  t.match(lines[4], /could not be taken back/)
  t.equal(lines.length, 5)
})
