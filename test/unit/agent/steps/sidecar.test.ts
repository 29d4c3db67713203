import t from 'tap'
import { createEffects } from '../../../../agent/effects.ts'
import type { SidecarSpec, SidecarState, Supervisor } from '../../../../agent/sidecar/supervisor.ts'
import { createSidecarStep } from '../../../../agent/steps/sidecar.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { someBundle } from '../bundle.ts'

const { signal } = new AbortController()
const bundle = someBundle()
const first = { version: '1.29.1', folder: '/v/1.29.1-aaaaaaaaaaaa', sha256: 'a'.repeat(64) }

/** `found`: hash and program of a sidecar that an earlier agent left running. */
function world(isPaced = false, found?: Pick<SidecarState, 'hash' | 'program'>) {
  const ensured: SidecarSpec[] = []
  const done: string[] = []
  let running = false
  let started: Pick<SidecarState, 'hash' | 'program'> = {}
  let left = found
  const window = { open: false, pending: false }
  let installed: typeof first | undefined = first
  let taken: string | undefined
  const supervisor: Supervisor = {
    ensure: async (spec, _signal, options) => {
      ensured.push(spec)
      const isKept = options?.keepOther === true && (running || left !== undefined)
      if (!isKept) started = { hash: spec.hash, program: spec.command }
      else if (left !== undefined) started = left
      left = undefined
      running = true
    },
    stop: async (graceMs) => {
      done.push(`stop ${graceMs}`)
      running = false
    },
    state: (): SidecarState => ({ running, ...(running && started), restarts: 0, downForGood: false }),
    onChange: () => () => {},
  }
  const given = {
    isOpen() {
      window.pending = true
      return window.open
    },
    get pending() {
      return window.pending
    },
    quiet: async () => void done.push('quiet'),
    over() {
      window.pending = false
      done.push('over')
    },
  }
  const step = createSidecarStep({
    supervisor,
    paths: { run: '/run' },
    installed: async () => installed,
    ports: {
      async mustBeFree() {
        if (taken !== undefined) throw new MooringError('PORT_IN_USE', { detail: taken })
      },
    },
    effects: createEffects({ after: (name) => done.push(name) }),
    ...(isPaced && { window: given }),
  })
  return {
    step,
    window,
    ensured,
    done,
    crash: () => {
      running = false
    },
    install: (version: typeof first | undefined) => {
      installed = version
    },
    take: (port: string | undefined) => {
      taken = port
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

t.test('another version on disk is another sidecar; the one that runs is told of', async (t) => {
  const { step, ensured, install, crash } = world()
  t.equal(step.version(), undefined)
  await step.apply(bundle, signal)
  t.equal(step.version(), '1.29.1')
  install({ ...first, version: '1.30.0', folder: '/v/1.30.0-bbbbbbbbbbbb' })
  t.notOk(await step.check(bundle, signal))
  t.equal(step.version(), '1.29.1', 'until it is replaced')
  await step.apply(bundle, signal)
  t.equal(step.version(), '1.30.0')
  t.equal(ensured[1]?.command, '/v/1.30.0-bbbbbbbbbbbb/bin/pilot-agent')
  crash()
  t.equal(step.version(), undefined, 'none runs')
  install(undefined)
  await t.rejects(step.apply(bundle, signal), { code: 'ARTIFACT_INVALID' })
})

t.test('a port that somebody else has: nothing is started until it is free', async (t) => {
  const { step, ensured, take } = world()
  take('15001 by node (pid 7)')
  await t.rejects(step.apply(bundle, signal), { code: 'PORT_IN_USE', detail: '15001 by node (pid 7)' })
  t.same(ensured, [])
  t.ok((step.retryWithinMs ?? 60_000) <= 5_000, 'it is looked at again within seconds')
  take(undefined)
  await step.apply(bundle, signal)
  t.equal(ensured.length, 1)
})

t.test('one that runs is stopped only in its window, after everything is quiet', async (t) => {
  const { step, ensured, done, window } = world(true)
  await step.apply(bundle, signal)
  const other = { ...bundle, workload: { ...bundle.workload, serviceAccount: 'other' } }
  t.ok(await step.check(other, signal), 'left as it is')
  t.match(step.note?.(), { reason: 'RestartPending' })
  window.open = true
  t.notOk(await step.check(other, signal))
  await step.apply(other, signal)
  t.equal(ensured.length, 2)
  t.same(done, ['sidecar-started', 'over', 'quiet', 'sidecar-started', 'over'])
  t.equal(step.note?.(), undefined)
})

t.test('one that an earlier agent left running waits for its turn too', async (t) => {
  const before = { hash: 'of-the-old-bundle', program: '/v/1.28.0-cccccccccccc/bin/pilot-agent' }
  const { step, ensured, done, window } = world(true, before)
  t.notOk(await step.check(bundle, signal))
  await step.apply(bundle, signal)
  t.same(done, ['sidecar-started'], 'adopted as it is')
  t.equal(step.version(), '1.28.0')
  t.match(step.note?.(), { reason: 'RestartPending' })
  t.ok(await step.check(bundle, signal))
  window.open = true
  t.notOk(await step.check(bundle, signal))
  await step.apply(bundle, signal)
  t.same(done, ['sidecar-started', 'quiet', 'sidecar-started', 'over'])
  t.equal(ensured.length, 2)
  t.equal(step.version(), '1.29.1')
  t.equal(step.note?.(), undefined)
  t.ok(await step.check(bundle, signal))
})

t.test('where nobody paces, one that was left running is replaced at once', async (t) => {
  const before = { hash: 'of-the-old-bundle' }
  const { step, done } = world(false, before)
  await step.apply(bundle, signal)
  t.same(done, ['sidecar-started'])
  t.ok(await step.check(bundle, signal))
})

t.test('one that does not run is started at once', async (t) => {
  const { step, done, crash } = world(true)
  await step.apply(bundle, signal)
  crash()
  t.notOk(await step.check({ ...bundle, vm: 'vm-9' }, signal))
  await step.apply({ ...bundle, vm: 'vm-9' }, signal)
  t.notOk(done.includes('quiet'))
})
