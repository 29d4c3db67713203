import type { Clock } from '../shared/clock.ts'
import { isMooringError, MooringError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type { Controller } from './client/controller.ts'
import { pick, retryDelay } from './client/retry.ts'
import type { Effects } from './effects.ts'
import type { ControllerTime } from './host/clock-skew.ts'
import type { Joiner } from './join/joiner.ts'
import { renewAt } from './plan.ts'
import type { State, StateStore } from './state.ts'

/** Keeps certificate, workload token and bundle fresh while this VM is in the mesh. */
export interface Renewals {
  /** Until `signal` aborts; rejects only with `KEY_REVOKED`. */
  run(signal: AbortSignal): Promise<void>
  /** The controller's bundle has this revision: gets it at once if it is another. */
  announce(revision: string): void
}

export interface RenewalsDeps {
  readonly store: StateStore
  readonly joiner: Joiner
  readonly controller: Pick<Controller, 'bundle'>
  readonly time: ControllerTime
  readonly clock: Clock
  readonly effects: Effects
  readonly log: Log
  /** A newer bundle is in the state. */
  readonly renewed: () => void
  readonly random?: () => number
}

type Due = 'certificate' | 'bundle' | undefined

/** A machine that slept wakes up with its timers where they were: the clock is looked at this often. */
const lookMs = 30_000

export function createRenewals(deps: RenewalsDeps): Renewals {
  const { store, joiner, controller, time, clock, effects, log, random = Math.random } = deps
  const spread = { certificate: random(), bundle: random() }
  let announced: string | undefined
  let wakeUp = new AbortController()

  function due({ identity, bundle, bundleAt }: State): { what: Due; inMs: number } {
    if (identity === undefined || bundle === undefined) return { what: undefined, inMs: lookMs }
    const now = time.now()
    const { certificateFrom: from, certificateUntil: until } = identity
    const certificateIn = renewAt({ from, until }, spread.certificate) - now
    if (certificateIn <= 0) return { what: 'certificate', inMs: 0 }
    if (announced !== undefined && announced !== bundle.revision) return { what: 'bundle', inMs: 0 }
    const token = { from: bundleAt ?? identity.joinedAt, until: bundle.token.expiresAt }
    const bundleIn = renewAt(token, spread.bundle) - now
    if (bundleIn <= 0) return { what: 'bundle', inMs: 0 }
    return { what: undefined, inMs: Math.min(lookMs, certificateIn, bundleIn) }
  }

  async function getBundle(signal: AbortSignal): Promise<void> {
    const bundle = await controller.bundle(signal)
    const state = store.current()
    if (state === undefined) return
    announced = undefined
    await effects.run('bundle-stored', () => store.write({ ...state, bundle, bundleAt: time.now() }))
    log.info('bundle renewed', { revision: bundle.revision })
  }

  async function renew(what: NonNullable<Due>, signal: AbortSignal): Promise<void> {
    if (what === 'certificate') {
      await joiner.join(signal)
      return
    }
    try {
      await getBundle(signal)
    } catch (error) {
      if (!isMooringError(error, 'UNAUTHENTICATED')) throw error
      await joiner.join(signal)
    }
  }

  return {
    async run(signal) {
      let failures = 0
      for (;;) {
        signal.throwIfAborted()
        wakeUp = new AbortController()
        const state = store.current()
        const { what, inMs } = state === undefined ? { what: undefined, inMs: lookMs } : due(state)
        let delay = inMs
        if (what !== undefined) {
          try {
            await renew(what, signal)
            failures = 0
            deps.renewed()
          } catch (error) {
            signal.throwIfAborted()
            if (isMooringError(error, 'KEY_REVOKED')) throw error
            failures += 1
            const known = isMooringError(error) ? error : new MooringError('INTERNAL', { cause: error })
            delay = Math.max(1_000, pick(retryDelay(known, failures), random()))
            const fields = { what, code: known.code, detail: known.detail, failures, retryMs: delay }
            log.warn('renewal failed', fields)
          }
        }
        await clock
          .sleep(delay, AbortSignal.any([signal, wakeUp.signal]))
          .catch(() => signal.throwIfAborted())
      }
    },
    announce(revision) {
      announced = revision
      if (store.current()?.bundle?.revision !== revision) wakeUp.abort()
    },
  }
}
