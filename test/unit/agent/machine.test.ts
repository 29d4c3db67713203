import t from 'tap'
import { withBundle } from '../../../agent/machine.ts'
import type { Bundle } from '../../../shared/api/bundle.ts'
import { someBundle } from './bundle.ts'

const { signal } = new AbortController()

t.test('a step sees the bundle that is in force when it is looked at', async (t) => {
  const seen: string[] = []
  let bundle: Bundle | undefined
  const task = withBundle(
    {
      name: 'files',
      condition: 'FilesWritten',
      async check({ revision }) {
        seen.push(`check ${revision}`)
        return false
      },
      async apply({ revision }) {
        seen.push(`apply ${revision}`)
      },
    },
    () => bundle,
  )
  t.match(task, { name: 'files', condition: 'FilesWritten', undo: undefined })
  await t.rejects(task.check(signal), { code: 'INTERNAL' })
  bundle = someBundle()
  await task.check(signal)
  bundle = someBundle((b) => {
    b.revision = 'r2'
  })
  await task.apply(signal)
  t.same(seen, ['check r1', 'apply r2'])
})

t.test('what a step has to say beside its result is passed on', async (t) => {
  let message = 'first'
  const step = {
    name: 'install',
    condition: 'SidecarInstalled',
    retryWithinMs: 2_000,
    check: async () => true,
    apply: async () => {},
    note: () => ({ status: 'False' as const, reason: 'DISK_FULL', message }),
  } as const
  const task = withBundle(step, () => someBundle())
  message = 'second'
  t.match(task, { retryWithinMs: 2_000 })
  t.same(task.note?.(), { status: 'False', reason: 'DISK_FULL', message: 'second' })
})

t.test('what can be taken back still can', async (t) => {
  let undone = 0
  const step = {
    name: 'capture',
    condition: 'TrafficCaptured',
    check: async () => true,
    apply: async () => {},
    async undo() {
      undone += 1
    },
  } as const
  await withBundle(step, () => undefined).undo?.(signal)
  t.equal(undone, 1, 'also without a bundle')
})
