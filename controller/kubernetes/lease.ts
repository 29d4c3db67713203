import type { Clock } from '../../shared/clock.ts'
import { errorText, isMooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Client } from './client.ts'
import { decideLease, type LeaseRecord, type Observation } from './lease-plan.ts'
import { type Lease, leases, micro } from './lease-resource.ts'

export interface ElectionDeps {
  readonly client: Client
  readonly namespace: string
  readonly name: string
  /** Of this replica, different at every start: a pod's name and a number of this process. */
  readonly identity: string
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  readonly times?: Partial<LeaseTimes>
}

export interface LeaseTimes {
  /** A holder that was not heard of for so long has lost the lease. */
  readonly durationMs: number
  /** A holder that could not renew for so long stops by itself, before the others take over. */
  readonly renewWithinMs: number
  /** Between two looks, with up to a fifth more. */
  readonly everyMs: number
}

// A candidate sees the last renewal up to one look late, and the end one look late: 9 + 2 × 1.8 s is below 15 s.
const defaults: LeaseTimes = { durationMs: 9_000, renewWithinMs: 6_000, everyMs: 1_500 }

/** Which one of the replicas leads, by a Lease of coordination.k8s.io/v1. */
export interface Election {
  /**
   * Until aborted: stands for election, and runs `lead` while this replica leads. Its signal is aborted when the
   * lead is lost; another one may lead already at that moment only if this process stood still.
   */
  run(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void>
  /** False also while the lease could not be renewed in time. */
  isLeader(): boolean
  /** Who leads, as last seen; undefined before the first look. */
  holder(): string | undefined
}

export function createElection(deps: ElectionDeps): Election {
  const { client, namespace, name, identity, clock, random } = deps
  const log = deps.log.child({ lease: `${namespace}/${name}`, identity })
  const times = { ...defaults, ...deps.times }
  const at = { namespace, name }
  let observed: Observation | undefined
  let current: Lease | undefined
  let renewedAt = Number.NEGATIVE_INFINITY
  let isHeld = false
  let fault: string | undefined

  const isLeader = () => isHeld && clock.now() - renewedAt < times.renewWithinMs && clock.now() >= renewedAt

  /** How long a holder still is one without another renewal. */
  const heldFor = () => Math.max(1, renewedAt + times.renewWithinMs - clock.now())
  const timeoutMs = () => Math.min(times.renewWithinMs / 2, isLeader() ? heldFor() : times.renewWithinMs)

  async function look(signal: AbortSignal): Promise<void> {
    // Before the request: the others may count from the moment at which it arrives.
    const began = clock.now()
    if (!isLeader()) {
      current = await client.get<Lease>(leases, at, { signal, timeoutMs: timeoutMs() })
      const decision = decideLease({ identity, now: clock.now(), lease: recordOf(current), observed })
      observed = decision.observed
      isHeld = false
      if (decision.do === 'wait') return
      current = await write(decision.do, signal)
    } else current = await write('renew', signal)
    renewedAt = began
    isHeld = true
  }

  function write(kind: 'create' | 'take' | 'renew', signal: AbortSignal): Promise<Lease> {
    const now = micro(clock.now())
    const before = current?.spec
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(times.durationMs / 1000),
      acquireTime: kind === 'renew' ? (before?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (before?.leaseTransitions ?? 0) + (kind === 'take' ? 1 : 0),
    }
    if (kind === 'create' || current === undefined) {
      return client.create<Lease>(leases, { metadata: at, spec }, { signal, timeoutMs: timeoutMs() })
    }
    return client.replace<Lease>(leases, { ...current, spec }, { signal, timeoutMs: timeoutMs() })
  }

  function note(error: unknown): void {
    const text = errorText(error)
    if (fault !== text) log.warn('the lease cannot be looked at', { error: text })
    fault = text
  }

  /** Lets go at once, so that nobody waits for the lease to expire. */
  async function release(): Promise<void> {
    if (!isHeld || current === undefined) return
    isHeld = false
    const spec = { ...current.spec, holderIdentity: '', leaseDurationSeconds: 1 }
    try {
      await client.replace<Lease>(leases, { ...current, spec }, { timeoutMs: times.renewWithinMs / 2 })
    } catch (error) {
      log.info('the lease was not released and will expire', { error: errorText(error) })
    }
  }

  return {
    async run(lead, signal) {
      let term: { readonly stop: AbortController; readonly done: Promise<void> } | undefined
      const step = async () => {
        if (isLeader() && term === undefined) {
          log.info('this replica leads')
          const stop = new AbortController()
          term = { stop, done: led(lead, stop.signal) }
        } else if (!isLeader() && term !== undefined) {
          log.warn('this replica no longer leads', { holder: current?.spec?.holderIdentity })
          term.stop.abort()
          await term.done
          term = undefined
        }
      }
      try {
        while (!signal.aborted) {
          try {
            await look(signal)
            fault = undefined
          } catch (error) {
            // Another one was faster: seen at the next look.
            if (isMooringError(error, 'CONFLICT')) isHeld = false
            else if (!signal.aborted) note(error)
          }
          await step()
          const pause = times.everyMs * (1 + 0.2 * random())
          await clock.sleep(isLeader() ? Math.min(pause, heldFor()) : pause, signal).catch(() => {})
        }
      } finally {
        term?.stop.abort()
        await term?.done
        await release()
      }
    },
    isLeader,
    holder: () => current?.spec?.holderIdentity,
  }

  async function led(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await lead(signal)
    } catch (error) {
      if (!signal.aborted) log.error('what the leader does has failed', { error: errorText(error) })
    }
  }
}

function recordOf(lease: Lease | undefined): LeaseRecord | undefined {
  if (lease === undefined) return undefined
  return {
    holder: lease.spec?.holderIdentity ?? '',
    durationMs: (lease.spec?.leaseDurationSeconds ?? 0) * 1000,
    resourceVersion: lease.metadata.resourceVersion ?? '',
  }
}
