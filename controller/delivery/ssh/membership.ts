import { createBackoff } from '../../../shared/backoff.ts'
import type { Clock } from '../../../shared/clock.ts'
import { MooringError } from '../../../shared/errors.ts'
import type { Phase } from '../../../shared/lifecycle.ts'
import { Secret } from '../../../shared/secret.ts'
import { vmName } from '../../join/join.ts'
import { newJoinToken } from '../../join/new-token.ts'
import type { ResourceStore } from '../../store/resource-store.ts'

/** A token for one machine. */
export interface Invitation {
  readonly id: string
  readonly token: Secret
}

export interface MembershipDeps {
  readonly store: ResourceStore
  readonly clock: Clock
  readonly random: () => number
}

/** How a machine that was injected gets into the mesh, seen from the controller. */
export interface Membership {
  invite(pool: string, by: string): Promise<Invitation>
  /** Makes a token void. */
  withdraw(invitation: Invitation): Promise<void>
  /** The VM that joined with it. Throws `INJECTION_NOT_JOINED` when nobody does in time. */
  joined(invitation: Invitation, limitMs: number, signal: AbortSignal): Promise<string>
  /** Its phase, when its sidecar runs and its health is known, or the time is over. */
  settled(vm: string, limitMs: number, signal: AbortSignal): Promise<Phase>
  /** Whether this VM of the pool is in the mesh. */
  isMember(vm: string | undefined, pool: string): Promise<boolean>
}

/** An invitation that is not taken up in this time is void. */
const tokenSeconds = 900
const settledPhases: readonly Phase[] = ['ready', 'unhealthy', 'draining', 'left']

export function createMembership({ store, clock, random }: MembershipDeps): Membership {
  /** Looks again and again until there is something to see, or the time is over. */
  async function until<T>(
    look: () => Promise<T | undefined>,
    limitMs: number,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    const pause = createBackoff({ baseMs: 200, maxMs: 1_000, floorMs: 100, random })
    const end = clock.now() + limitMs
    for (;;) {
      const found = await look()
      if (found !== undefined || clock.now() >= end) return found
      await clock.sleep(pause.next(), signal)
    }
  }

  return {
    async invite(pool, by) {
      const wish = { pool, uses: 1, ttlSeconds: tokenSeconds, createdBy: by }
      const { id, token, record } = newJoinToken(wish, clock.now())
      await store.commit([{ put: 'token', name: id, value: record }])
      return { id, token: new Secret(token) }
    },
    async withdraw({ id }) {
      await store.commit([{ remove: 'token', name: id }])
    },
    async joined({ id }, limitMs, signal) {
      const key = await until(async () => (await store.get('token', id))?.value.usedBy[0], limitMs, signal)
      if (key !== undefined) return vmName(key)
      throw new MooringError('INJECTION_NOT_JOINED', { detail: `not within ${limitMs / 1000} s` })
    },
    async settled(vm, limitMs, signal) {
      const phaseOf = async () => (await store.get('vm', vm))?.value.phase
      const phase = await until(
        async () => {
          const now = await phaseOf()
          return now !== undefined && settledPhases.includes(now) ? now : undefined
        },
        limitMs,
        signal,
      )
      return phase ?? (await phaseOf()) ?? 'joining'
    },
    async isMember(vm, pool) {
      if (vm === undefined) return false
      const record = (await store.get('vm', vm))?.value
      return record?.pool === pool && record.revoked === undefined && record.phase !== 'left'
    },
  }
}
