import type { Action } from '../../../../controller/fleet/plan.ts'
import { type SessionFacts, told } from '../../../../controller/fleet/session.ts'
import type { Situation } from '../../../../controller/fleet/situation.ts'
import { termsOf } from '../../../../controller/fleet/terms.ts'
import { refOf } from '../../../../controller/mesh/objects.ts'
import type { PoolRecord, VmRecord } from '../../../../controller/store/records.ts'
import type { AgentStatus } from '../../../../shared/api/stream.ts'
import { fakeFacts } from '../../../fakes/mesh.ts'

/** The moment at which these situations are. */
export const now = 1_800_000_000_000

export const webPool: PoolRecord = {
  spec: {
    namespace: 'shop',
    serviceAccount: 'web',
    service: {
      host: 'web.shop.internal',
      ports: [{ name: 'http', number: 80, target: 8080, protocol: 'HTTP' }],
    },
    join: { methods: ['token'], cidrs: ['10.0.0.0/8'] },
  },
  createdAt: now - 1_000_000,
  updatedAt: now - 1_000_000,
}

/** A record as admission makes it, with changes. */
export function record(changes: Partial<VmRecord> = {}): VmRecord {
  return {
    pool: 'web',
    method: 'token',
    keyThumbprint: 'key-1',
    address: '10.0.0.1',
    hostname: 'host-1',
    arch: 'amd64',
    nics: [],
    bootId: 'boot-1',
    admittedAt: now - 60_000,
    createdAt: now - 60_000,
    phase: 'joining',
    phaseSince: now - 60_000,
    health: 'unknown',
    conditions: [],
    lastSeenAt: now - 60_000,
    certificateExpiresAt: now + 3_600_000,
    workloadCertificateUntil: now + 3_600_000,
    agentVersion: '0.1.0',
    sidecarRestarts: 0,
    bundleRevision: 'r1',
    facts: {},
    ...changes,
  }
}

export function status(changes: Partial<AgentStatus> = {}): AgentStatus {
  return { health: 'unknown', conditions: [], bundleRevision: 'r1', sidecarRestarts: 0, ...changes }
}

export function session(changes: Partial<SessionFacts> = {}): SessionFacts {
  return {
    state: 'open',
    epoch: 1,
    keyThumbprint: 'key-1',
    name: 'stream-1',
    agentVersion: '0.1.0',
    bootId: 'boot-1',
    status: status(),
    left: false,
    ...changes,
  }
}

/** A VM that joined and has nothing written yet, with changes. */
export function situation(changes: Partial<Situation> = {}): Situation {
  const pool = 'pool' in changes ? changes.pool : webPool
  return {
    vm: 'vm-1',
    record: record(),
    terms: termsOf(pool, fakeFacts),
    network: '',
    entry: undefined,
    eviction: undefined,
    strays: [],
    addressOwner: 'vm-1',
    rivals: [],
    foreignEvictions: [],
    otherEndpoints: 1,
    session: undefined,
    hearing: { state: 'waiting', lastHeard: 0 },
    revision: 'r1',
    trust: 'roots',
    instance: 'controller-1',
    now,
    ...changes,
    pool,
  }
}

/** The situation after `action` was carried out, or undefined when the VM's record is gone. */
export function after(before: Situation, action: Action): Situation | undefined {
  switch (action.do) {
    case 'remove-entry': {
      const isOther = (refs: Situation['rivals']) => refs.filter((r) => r !== action.ref)
      if (before.rivals.includes(action.ref)) return { ...before, rivals: isOther(before.rivals) }
      if (before.strays.includes(action.ref)) return { ...before, strays: isOther(before.strays) }
      return { ...before, entry: undefined }
    }
    case 'apply-entry':
      return { ...before, entry: action.object }
    case 'apply-eviction':
      return { ...before, eviction: action.object }
    case 'lift-eviction': {
      const rest = before.foreignEvictions.filter((r) => r !== action.ref)
      if (rest.length < before.foreignEvictions.length) return { ...before, foreignEvictions: rest }
      return { ...before, eviction: undefined }
    }
    case 'write':
      return { ...before, record: action.record }
    case 'forget':
      return undefined
    case 'await-taken':
      return before
    case 'send':
      if (before.session === undefined) return before
      return { ...before, session: told(before.session, action.message, before.record.drain) }
    case 'farewell':
      return { ...before, session: undefined }
  }
}

/** Actions in few words, in order. */
export function words(actions: readonly Action[]): string[] {
  return actions.map(wordsFor)
}

function wordsFor(action: Action): string {
  switch (action.do) {
    case 'apply-entry':
      return `entry ${healthWord(action.object.status)}`
    case 'remove-entry':
      return `remove ${action.ref.name}${action.stale ? ' (stale)' : ''}`
    case 'write':
      return `write ${action.record.phase}`
    case 'send':
      return `send ${action.message.kind}`
    case 'apply-eviction':
      return `deny ${refOf(action.object).name}`
    case 'lift-eviction':
      return `allow ${action.ref.name}`
    case 'await-taken':
      return `taken ${action.ref.name}`
    case 'farewell':
      return action.revoked ? 'farewell, revoked' : 'farewell'
    case 'forget':
      return 'forget'
  }
}

function healthWord(status: unknown): string {
  const { conditions } = (status ?? {}) as { conditions?: { status: string }[] }
  if (conditions === undefined) return 'without health'
  return conditions[0]?.status === 'True' ? 'open' : 'closed'
}
