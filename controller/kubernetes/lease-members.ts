import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { errorText, isMooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Client } from './client.ts'
import { judgeMembers, type Member } from './lease-members-plan.ts'
import { type Lease, leases, micro } from './lease-resource.ts'

export interface MembersDeps {
  readonly client: Client
  readonly namespace: string
  /** Of this installation: its replicas are told from those of others by it. */
  readonly release: string
  /** Of this replica, different at every start. */
  readonly identity: string
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  readonly times?: Partial<MemberTimes>
}

export interface MemberTimes {
  /** A replica whose Lease stands unchanged for so long is gone. */
  readonly durationMs: number
  /** Between two renewals, and two looks at the others; with up to a fifth more. */
  readonly everyMs: number
}

const defaults: MemberTimes = { durationMs: 9_000, everyMs: 2_000 }
const callMs = 3_000
/** Leases that nobody took away are removed after so long. */
const leftoverMs = 600_000

/**
 * Which replicas of the controller run: each renews a Lease of its own, as nodes of Kubernetes do, and looks at those
 * of the others. It is the only thing that goes to the API server all the time, once for each replica and not for a VM.
 */
export interface Members {
  /** Makes this replica known; resolves when it is, and the others are. Tries until aborted. */
  join(signal: AbortSignal): Promise<void>
  /** Until aborted. */
  run(signal: AbortSignal): Promise<void>
  /** Says that this replica ends, so that nobody waits for its Lease to expire. */
  leave(): Promise<void>
  /** When the replica was last known to run, by this one's clock; undefined as long as it is not known to be gone. */
  goneSince(identity: string): number | undefined
  /** How many run, this one included. */
  count(): number
  /** Told of each replica that is gone, or is back. */
  onChange(listener: (identity: string) => void): () => void
  /** Why the others are not known just now. */
  fault(): string | undefined
}

export function createMembers(deps: MembersDeps): Members {
  const { client, namespace, release, identity, clock, log, random } = deps
  const { durationMs, everyMs } = { ...defaults, ...deps.times }
  const label = 'mesh.mooring/replica-of'
  const at = { namespace, name: `${release}-replica-${identity}` }
  const listeners = new Set<(identity: string) => void>()
  let own: Lease | undefined
  let members: ReadonlyMap<string, Member> = new Map()
  let asked = new Map<string, number>()
  let lookedAt: number | undefined
  let fault: string | undefined = 'not looked at yet'

  async function renew(signal: AbortSignal): Promise<void> {
    const options = { signal, timeoutMs: callMs }
    const renewTime = micro(clock.now())
    const spec = { holderIdentity: identity, leaseDurationSeconds: Math.ceil(durationMs / 1000), renewTime }
    try {
      own =
        own === undefined
          ? await client.create<Lease>(
              leases,
              { metadata: { ...at, labels: { [label]: release } }, spec },
              options,
            )
          : await client.replace<Lease>(leases, { ...own, spec }, options)
    } catch (error) {
      // An attempt without an answer was carried out after all, or somebody took the Lease away.
      if (isMooringError(error, 'CONFLICT') || isMooringError(error, 'NOT_FOUND')) {
        own = await client.get<Lease>(leases, at, options)
      }
      throw error
    }
  }

  async function look(signal: AbortSignal): Promise<void> {
    const began = clock.now()
    const questions = asked
    asked = new Map()
    try {
      const scope = { namespace, labels: `${label}=${release}` }
      const { items } = await client.list<Lease>(leases, scope, { signal, timeoutMs: callMs })
      const found = items.map(({ metadata, spec }) => ({
        identity: spec?.holderIdentity ?? '',
        durationMs: (spec?.leaseDurationSeconds ?? 0) * 1000,
        resourceVersion: metadata.resourceVersion ?? '',
      }))
      const before = members
      members = judgeMembers({
        ...{ before, found, asked: questions, now: clock.now(), lookedAt },
        longestGapMs: durationMs / 2,
      })
      lookedAt = began
      tellChanges(before)
      await removeLeftovers(items, signal)
    } catch (error) {
      for (const [name, time] of questions) asked.set(name, time)
      throw error
    }
  }

  function tellChanges(before: ReadonlyMap<string, Member>): void {
    for (const [name, { isGone }] of members) {
      if (name === identity || (before.get(name)?.isGone ?? false) === isGone) continue
      if (isGone) log.warn('a replica is gone', { replica: name })
      else log.info('a replica is back', { replica: name })
      for (const listener of [...listeners]) listener(name)
    }
  }

  async function removeLeftovers(items: readonly Lease[], signal: AbortSignal): Promise<void> {
    for (const { metadata, spec } of items) {
      const member = members.get(spec?.holderIdentity ?? '')
      if (!member?.isGone || clock.now() - member.aliveAt < leftoverMs) continue
      const { uid, resourceVersion } = metadata
      const only = { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) }
      await client.remove(leases, { namespace, name: metadata.name }, only, { signal, timeoutMs: callMs })
    }
  }

  async function step(signal: AbortSignal): Promise<boolean> {
    try {
      await renew(signal)
      await look(signal)
      fault = undefined
      return true
    } catch (error) {
      if (signal.aborted) return false
      const text = errorText(error)
      if (fault !== text) log.warn('the replicas are not known just now', { error: text })
      fault = text
      return false
    }
  }

  return {
    async join(signal) {
      const backoff = createBackoff({ baseMs: 200, maxMs: 5_000, random })
      while (!(await step(signal))) {
        signal.throwIfAborted()
        await clock.sleep(backoff.next(), signal)
      }
    },
    async run(signal) {
      while (!signal.aborted) {
        await clock.sleep(everyMs * (1 + 0.2 * random()), signal).catch(() => {})
        if (!signal.aborted) await step(signal)
      }
    },
    async leave() {
      if (own === undefined) return
      own = undefined
      try {
        await client.remove(leases, at, {}, { timeoutMs: callMs })
      } catch (error) {
        log.info('the Lease of this replica was not removed and will expire', { error: errorText(error) })
      }
    },
    goneSince(name) {
      const member = members.get(name)
      if (member !== undefined) return member.isGone ? member.aliveAt : undefined
      if (name !== identity && !asked.has(name)) asked.set(name, clock.now())
      return undefined
    },
    count: () => {
      const others = [...members].filter(([name, { isGone }]) => name !== identity && !isGone)
      return others.length + 1
    },
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    fault: () => fault,
  }
}
