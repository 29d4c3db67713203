import t from 'tap'
import { createEffects } from '../../../../agent/effects.ts'
import type { SidecarSpec, SidecarState, Supervisor } from '../../../../agent/sidecar/supervisor.ts'
import { createSidecarStep } from '../../../../agent/steps/sidecar.ts'
import { someBundle } from '../bundle.ts'

const { signal } = new AbortController()
const bundle = someBundle((b) => {
  b.sidecar.artifacts = [{ version: '1.29.1', arch: 'amd64', sha256: 'a'.repeat(64), size: 1 }]
})

function world() {
  const ensured: SidecarSpec[] = []
  const done: string[] = []
  let running = false
  const supervisor: Supervisor = {
    ensure: async (spec) => {
      ensured.push(spec)
      running = true
    },
    stop: async (graceMs) => {
      done.push(`stop ${graceMs}`)
      running = false
    },
    state: (): SidecarState => ({ running, restarts: 0, downForGood: false }),
    onChange: () => () => {},
  }
  const step = createSidecarStep({
    supervisor,
    paths: { versions: '/v', run: '/run' },
    arch: 'amd64',
    effects: createEffects({ after: (name) => done.push(name) }),
  })
  return {
    step,
    ensured,
    done,
    crash: () => {
      running = false
    },
  }
}

t.test('the first agent of a life ensures, also when a sidecar runs', async (t) => {
  const { step, ensured, done } = world()
  t.notOk(await step.check(bundle, signal))
  await step.apply(bundle, signal)
  t.ok(await step.check(bundle, signal))
  t.equal(ensured[0]?.command, '/v/1.29.1-aaaaaaaaaaaa/bin/pilot-agent')
  t.same(done, ['sidecar-started'])
})

t.test('a crash or another specification is not done', async (t) => {
  const { step, crash } = world()
  await step.apply(bundle, signal)
  const other = { ...bundle, workload: { ...bundle.workload, serviceAccount: 'other' } }
  t.notOk(await step.check(other, signal))
  crash()
  t.notOk(await step.check(bundle, signal))
})

t.test('it is stopped on leaving, and must be ensured after that', async (t) => {
  const { step, done } = world()
  await step.apply(bundle, signal)
  await step.undo?.(signal)
  t.same(done, ['sidecar-started', 'stop 5000', 'sidecar-stopped'])
  t.notOk(await step.check(bundle, signal))
})
