import { X509Certificate } from 'node:crypto'
import type { JoinFacts } from '../../shared/api/join.ts'
import { wireVersion } from '../../shared/api/wire.ts'
import type { Clock } from '../../shared/clock.ts'
import type { ErrorCode } from '../../shared/error-catalogue.ts'
import { isMooringError, MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Controller } from '../client/controller.ts'
import type { Effects } from '../effects.ts'
import type { ControllerTime } from '../host/clock-skew.ts'
import { type Identity, type State, type StateStore, stateVersion } from '../state.ts'
import type { MachineMark } from './belonging.ts'
import { makeCertificateRequest } from './csr.ts'
import { makeKey, makeProof } from './key.ts'
import type { JoinMethod } from './method.ts'

/** Gets this VM an identity, or a fresh certificate for the one it has. */
export interface Joiner {
  /** Makes the key if there is none, joins or renews, and stores what came. */
  join(signal: AbortSignal): Promise<State & { readonly identity: Identity }>
}

export interface JoinerDeps {
  readonly pool: string
  readonly controller: Pick<Controller, 'challenge' | 'join'>
  readonly store: StateStore
  /** Evidence of a VM that the controller does not know yet. */
  readonly fresh: JoinMethod
  readonly renew: JoinMethod
  readonly facts: () => Promise<JoinFacts>
  /** What the state is bound to. */
  readonly machine: () => Promise<MachineMark>
  readonly time: ControllerTime
  readonly clock: Clock
  readonly effects: Effects
  readonly log: Log
}

/** How long a shutdown waits for the answer to a join. */
const answerMs = 5_000
/** What the key alone cannot do, and fresh evidence may. */
const notByKey: ReadonlySet<ErrorCode> = new Set([
  'KEY_UNKNOWN',
  'RENEW_TOO_LATE',
  'METHOD_NOT_ALLOWED_BY_POOL',
])

export function createJoiner(deps: JoinerDeps): Joiner {
  const { controller, store, effects, clock, log, pool } = deps

  async function withKey(): Promise<State> {
    const state = store.current()
    if (state !== undefined) return state
    const made: State = { version: stateVersion, privateKey: makeKey(), machine: await deps.machine() }
    await effects.run('key-stored', () => store.write(made))
    return made
  }

  async function ask(method: JoinMethod, state: State, signal: AbortSignal) {
    const evidence = await method.evidence(signal).catch((error: unknown) => {
      if (state.dropped === undefined || !isMooringError(error)) throw error
      // The token is missing because nobody expected this machine to join: it was made of one that had joined.
      throw new MooringError('MACHINE_CHANGED', {
        detail: `${state.dropped.why}; ${error.detail}`,
        cause: error,
      })
    })
    const sentAt = clock.now()
    const challenge = await controller.challenge(signal)
    deps.time.observe({ theirs: challenge.now, sentAt, receivedAt: clock.now() })
    const csr = makeCertificateRequest(state.privateKey)
    const proof = makeProof(state.privateKey, { nonce: challenge.nonce, method: method.name, pool, csr })
    const facts = await deps.facts()
    const request = { wire: wireVersion, pool, evidence, csr, proof, facts }
    // Once it is sent there may be a VM of ours: a shutdown waits for the answer, so that it can be taken back.
    return controller.join(request, aborting(signal, answerMs))
  }

  /** By the key alone if the controller may know it, and by fresh evidence if it turns out not to. */
  async function askInOrder(state: State, signal: AbortSignal) {
    if (state.identity === undefined) return ask(deps.fresh, state, signal)
    try {
      return await ask(deps.renew, state, signal)
    } catch (error) {
      if (!isMooringError(error) || !notByKey.has(error.code)) throw error
      log.warn('the key alone is not enough any more: fresh evidence is shown', { code: error.code })
      return ask(deps.fresh, state, signal)
    }
  }

  let queue: Promise<unknown> = Promise.resolve()

  return {
    join(signal) {
      // Stream, renewal and convergence may each want one at the same moment.
      const result = queue.then(() => joinOnce(signal))
      queue = result.catch(() => {})
      return result
    },
  }

  async function joinOnce(signal: AbortSignal) {
    const state = await withKey()
    if (state.revoked !== undefined) throw new MooringError('KEY_REVOKED')
    if (state.identity !== undefined && state.identity.pool !== pool) {
      throw new MooringError('CONFIG_INVALID', {
        detail: `pool is ${pool}, and this VM joined ${state.identity.pool}; leave first, then delete the state folder`,
      })
    }
    const answer = await askInOrder(state, signal)
    const { validFromDate, validToDate } = new X509Certificate(answer.certificate)
    const identity: Identity = {
      vm: answer.vm,
      pool,
      certificate: answer.certificate,
      certificateFrom: validFromDate.getTime(),
      certificateUntil: validToDate.getTime(),
      controllerCa: answer.controllerCa,
      joinedAt: state.identity?.joinedAt ?? clock.now(),
    }
    const joined = {
      version: stateVersion,
      privateKey: state.privateKey,
      identity,
      bundle: answer.bundle,
      bundleAt: deps.time.now(),
      ...(state.machine && { machine: state.machine }),
    } as const
    await effects.run('identity-stored', () => store.write(joined))
    log.info('joined', { vm: identity.vm, pool, certificateUntil: validToDate.toISOString() })
    return joined
  }
}

/** Aborts `ms` after `signal` does. */
function aborting(signal: AbortSignal, ms: number): AbortSignal {
  const late = new AbortController()
  const later = () => AbortSignal.timeout(ms).addEventListener('abort', () => late.abort(signal.reason))
  if (signal.aborted) later()
  else signal.addEventListener('abort', later, { once: true })
  return late.signal
}
