import type { OperatorCreate, OperatorCreated } from '../../shared/api/operator.ts'
import type { Clock } from '../../shared/clock.ts'
import { isMooringError, MooringError } from '../../shared/errors.ts'
import type { OperatorRecord } from '../store/records.ts'
import type { ResourceStore, Stored, Write } from '../store/resource-store.ts'
import { newSecret } from './bearer.ts'
import type { RolePrincipal } from './policy.ts'
import { sameHash, secretHash } from './secret-hash.ts'

export interface OperatorsDeps {
  readonly store: ResourceStore
  readonly clock: Clock
  /** Whether operators of the controller's own are let in; others may come by a cluster or an issuer. @defaultValue true */
  readonly admits?: boolean
}

/** People and programs that may use the interface, each with one expiring token. */
export interface Operators {
  authenticate(token: string): Promise<RolePrincipal | undefined>
  list(): Promise<readonly RolePrincipal[]>
  /** Throws `CONFLICT` when the name is taken, and `FORBIDDEN` where none of its own are let in. */
  create(request: OperatorCreate): Promise<OperatorCreated>
  /** Throws `NOT_FOUND`. */
  remove(name: string): Promise<void>
  /** Makes an administrator of who knows the enrolment code; throws `ENROLMENT_INVALID`. Spends the code. */
  enrol(code: string, name: string): Promise<OperatorCreated>
  /** A new enrolment code; the one before is void. */
  newEnrolment(): Promise<{ readonly code: string; readonly expiresAt: number }>
  /** Whether there is no operator who could let others in. */
  needEnrolment(): Promise<boolean>
}

/** What is said where the configuration lets none of the controller's own operators in. */
export const ownRefused = 'operators.own is refused: operators come by the cluster or by their issuer'

const enrolmentName = 'administrator'
const enrolmentMs = 3_600_000
const defaultTtlSeconds = 90 * 86_400

export function createOperators(deps: OperatorsDeps): Operators {
  const { store, clock, admits = true } = deps

  function refuseOwn(): void {
    if (!admits) throw new MooringError('FORBIDDEN', { detail: ownRefused })
  }

  async function make(
    request: OperatorCreate,
    old: Stored<'operator'> | undefined,
    writes: readonly Write[] = [],
  ): Promise<OperatorCreated> {
    const token = newSecret('operator')
    const now = clock.now()
    const value: OperatorRecord = {
      hash: secretHash(token),
      role: request.role,
      pools: request.pools ?? ['*'],
      createdAt: now,
      expiresAt: now + (request.ttlSeconds ?? defaultTtlSeconds) * 1000,
    }
    const put = { put: 'operator', name: request.name, value, ...(old && { version: old.version }) } as const
    await store.commit([...writes, put])
    const { role, pools, expiresAt } = value
    return { name: request.name, role, pools: [...pools], token, expiresAt }
  }

  return {
    async authenticate(token) {
      if (!admits) return undefined
      const hash = secretHash(token)
      let found: RolePrincipal | undefined
      // All are compared, so that the time tells nothing about which one it was.
      for (const operator of await store.list('operator')) {
        if (sameHash(operator.value.hash, hash)) found = principalOf(operator)
      }
      return found !== undefined && clock.now() < found.expiresAt ? found : undefined
    },
    async list() {
      return (await store.list('operator')).map(principalOf)
    },
    async create(request) {
      refuseOwn()
      const old = await store.get('operator', request.name)
      if (old !== undefined && clock.now() < old.value.expiresAt) {
        throw new MooringError('CONFLICT', { detail: `there is an operator ${request.name} already` })
      }
      return make(request, old)
    },
    async remove(name) {
      const old = await store.get('operator', name)
      if (old === undefined) throw new MooringError('NOT_FOUND', { detail: `operator ${name}` })
      await store.commit([{ remove: 'operator', name, version: old.version }])
    },
    async enrol(code, name) {
      refuseOwn()
      const stored = await store.get('enrolment', enrolmentName)
      const matches = sameHash(stored?.value.hash ?? '0'.repeat(64), secretHash(code))
      if (stored === undefined || !matches || clock.now() >= stored.value.expiresAt) {
        throw new MooringError('ENROLMENT_INVALID')
      }
      try {
        // Removal with a version is no guard against two at once (what is gone is gone); the put of a spent
        // code is.
        const spent: Write = {
          put: 'enrolment',
          name: enrolmentName,
          version: stored.version,
          value: { ...stored.value, expiresAt: 0 },
        }
        return await make({ name, role: 'admin' }, await store.get('operator', name), [spent])
      } catch (error) {
        if (isMooringError(error, 'CONFLICT')) throw new MooringError('ENROLMENT_INVALID', { cause: error })
        throw error
      }
    },
    async newEnrolment() {
      refuseOwn()
      const code = newSecret('enrolment')
      const now = clock.now()
      const old = await store.get('enrolment', enrolmentName)
      const value = { hash: secretHash(code), createdAt: now, expiresAt: now + enrolmentMs }
      await store.commit([
        { put: 'enrolment', name: enrolmentName, value, ...(old && { version: old.version }) },
      ])
      return { code, expiresAt: value.expiresAt }
    },
    async needEnrolment() {
      if (!admits) return false
      const now = clock.now()
      const operators = await store.list('operator')
      return !operators.some(({ value }) => value.role === 'admin' && now < value.expiresAt)
    },
  }
}

function principalOf({ name, value }: Stored<'operator'>): RolePrincipal {
  const { role, pools, createdAt, expiresAt } = value
  return { by: 'mooring', name, role, pools, createdAt, expiresAt }
}
