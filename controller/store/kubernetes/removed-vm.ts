import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { Address, Name, Sha256, Time } from '../../../shared/api/wire.ts'
import { MooringError } from '../../../shared/errors.ts'
import type { VmRecord } from '../records.ts'
import { group, kindLabel, poolLabel, type SecretObject } from './resources.ts'

/** Value of the kind label of Secrets with VMs whose object is gone and whose key must be known as revoked. */
export const removedVmKind = 'removed-vm'

/** What readers of a VM that left rely on. */
const RemovedVm = Type.Object({
  pool: Name,
  keyThumbprint: Sha256,
  address: Address,
  phase: Type.Literal('left'),
  phaseSince: Time,
  conditions: Type.Array(Type.Object({ type: Type.String(), status: Type.String() })),
  certificateExpiresAt: Time,
  workloadCertificateUntil: Time,
  revoked: Type.Object({ at: Time, by: Type.String(), evictUntil: Time, now: Type.Boolean() }),
})

export function isRemovedVm({ metadata }: SecretObject): boolean {
  return metadata.labels?.[kindLabel] === removedVmKind
}

export function removedVmName(vm: string): string {
  return `mooring-${removedVmKind}-${vm}`
}

export function removedVmLabels({ pool }: Pick<VmRecord, 'pool'>): Readonly<Record<string, string>> {
  return { [kindLabel]: removedVmKind, [poolLabel]: pool }
}

export function removedVmBody(record: VmRecord): Pick<SecretObject, 'type' | 'data'> {
  const text = JSON.stringify(record)
  return { type: `${group}/${removedVmKind}`, data: { record: Buffer.from(text).toString('base64') } }
}

/** Throws `STORE_UNREADABLE`. */
export function readRemovedVm({ metadata, data }: SecretObject): { vm: string; record: VmRecord } {
  const { name } = metadata
  const prefix = removedVmName('')
  let record: unknown
  try {
    record = JSON.parse(Buffer.from(data?.record ?? '', 'base64').toString('utf8'))
  } catch {
    record = undefined
  }
  if (!name.startsWith(prefix) || !Value.Check(RemovedVm, record)) {
    throw new MooringError('STORE_UNREADABLE', { detail: `secret ${name}: it holds no removed VM` })
  }
  const known: Static<typeof RemovedVm> = record
  return { vm: name.slice(prefix.length), record: known as unknown as VmRecord }
}
