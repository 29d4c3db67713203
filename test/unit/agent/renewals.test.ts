import t from 'tap'
import { createEffects } from '../../../agent/effects.ts'
import { createControllerTime } from '../../../agent/host/clock-skew.ts'
import { createRenewals } from '../../../agent/renewals.ts'
import type { State } from '../../../agent/state.ts'
import { MooringError } from '../../../shared/errors.ts'
import { silentLog } from '../../../shared/log.ts'
import { createFakeClock } from '../../fakes/clock.ts'
import { someBundle } from './bundle.ts'

const hour = 3_600_000

/** A certificate of a day and a token of an hour, unless `faults` says otherwise. */
function scene(faults: { bundle?: () => Error | undefined; join?: () => Error | undefined } = {}) {
  const clock = createFakeClock()
  const start = clock.now()
  const calls: string[] = []
  let renewed = 0
  let revision = 'r1'
  const bundle = () =>
    someBundle((b) => {
      b.revision = revision
      b.token.expiresAt = clock.now() + hour
    })
  const identity = () => ({
    ...{ vm: 'vm-1', pool: 'web', certificate: '', controllerCa: '', joinedAt: start },
    ...{ certificateFrom: clock.now(), certificateUntil: clock.now() + 24 * hour },
  })
  let state: State = { version: 1, privateKey: 'k', identity: identity(), bundle: bundle(), bundleAt: start }
  const renewals = createRenewals({
    store: {
      current: () => state,
      async write(next) {
        state = next
      },
    },
    joiner: {
      async join() {
        calls.push('join')
        const fault = faults.join?.()
        if (fault !== undefined) throw fault
        const joined = { ...state, identity: identity(), bundle: bundle(), bundleAt: clock.now() }
        state = joined
        return joined
      },
    },
    controller: {
      async bundle() {
        calls.push('bundle')
        const fault = faults.bundle?.()
        if (fault !== undefined) throw fault
        return bundle()
      },
    },
    time: createControllerTime(clock),
    clock,
    effects: createEffects(),
    log: silentLog,
    renewed: () => {
      renewed += 1
    },
    random: () => 0.5,
  })
  const abort = new AbortController()
  const ended = renewals.run(abort.signal).catch((error) => error)
  return {
    ...{ renewals, clock, calls, ended, abort },
    renewed: () => renewed,
    change: (next: string) => {
      revision = next
    },
  }
}

t.test(
  'the token is renewed near the middle of its life, the certificate near the middle of its own',
  async (t) => {
    const { clock, calls, renewed, abort, ended } = scene()
    await clock.untilSleeping()
    await clock.advance(29 * 60_000)
    t.same(calls, [])
    await clock.advance(2 * 60_000)
    t.same(calls, ['bundle'])
    t.equal(renewed(), 1)
    await clock.advance(11 * hour)
    t.notOk(calls.includes('join'))
    await clock.advance(hour)
    t.ok(calls.includes('join'))
    abort.abort()
    await ended
  },
)

t.test('a machine that slept renews at once', async (t) => {
  const { clock, calls, abort, ended } = scene()
  await clock.untilSleeping()
  const { now } = clock
  clock.now = () => now() + 30 * hour
  await clock.advance(30_000)
  t.same(calls, ['join'])
  abort.abort()
  await ended
})

t.test('another revision is fetched at once, the same one not', async (t) => {
  const { renewals, clock, calls, change, abort, ended } = scene()
  await clock.untilSleeping()
  renewals.announce('r1')
  await clock.advance(1_000)
  t.same(calls, [])
  change('r2')
  renewals.announce('r2')
  await clock.advance(0)
  t.same(calls, ['bundle'])
  abort.abort()
  await ended
})

t.test('a failure is tried on; a certificate that is not accepted is renewed for it', async (t) => {
  let failures = 2
  const { clock, calls, renewed, abort, ended } = scene({
    bundle: () => (failures-- > 0 ? new MooringError('CONTROLLER_UNREACHABLE') : undefined),
  })
  await clock.untilSleeping()
  await clock.advance(31 * 60_000 + 10_000)
  t.same(calls, ['bundle', 'bundle', 'bundle'])
  t.equal(renewed(), 1)
  abort.abort()
  await ended

  const refused = scene({ bundle: () => new MooringError('UNAUTHENTICATED') })
  await refused.clock.untilSleeping()
  await refused.clock.advance(31 * 60_000)
  t.same(refused.calls, ['bundle', 'join'])
  refused.abort.abort()
  await refused.ended
})

t.test('a revoked key ends it', async (t) => {
  const { clock, ended } = scene({ bundle: () => new MooringError('KEY_REVOKED') })
  await clock.untilSleeping()
  await clock.advance(31 * 60_000)
  t.match(await ended, { code: 'KEY_REVOKED' })
})
