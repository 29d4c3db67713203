import type { TObject, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { closed } from '../../../shared/api/closed.ts'
import { MooringError } from '../../../shared/errors.ts'
import type { VmRecord } from '../records.ts'
import { fromKubernetes, toKubernetes } from './moment.ts'
import { removedRecord } from './removal.ts'
import { type CustomObject, statusAnnotation } from './resources.ts'
import { VmSpec, VmStatus } from './vm-schema.ts'

type Fields = Readonly<Record<string, unknown>>

/** A VM's record in two parts, as its object has them. */
export interface VmParts {
  readonly spec: Fields
  readonly status: Fields
}

const day = 86_400_000
/** No workload certificate outlives it: the longest token and the longest certificate that can be configured. */
const longestWorkloadMs = 8 * day

/**
 * What the schemas describe goes to its place in spec and status, times as RFC 3339. A field that they do not know,
 * or whose value does not fit, is kept as it is in `status.further`: a record comes back as it was put.
 */
export function vmParts(record: VmRecord): VmParts {
  const spec: Record<string, unknown> = {}
  const status: Record<string, unknown> = {}
  const further: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(record)) {
    if (value === undefined) continue
    const part = fits(specFields, key, value) ? spec : fits(statusFields, key, value) ? status : further
    part[key] = part === further ? value : toKubernetes(schemaOf(key), value)
  }
  if (Array.isArray(status.conditions)) status.conditions = status.conditions.map(standard)
  if (Object.keys(further).length > 0) status.further = further
  return { spec, status }
}

/**
 * A VM's record. Its status is what the annotation says when that came with the spec as it is now and the status
 * itself is older: spec and status are two writes, and a crash may come between. Throws `STORE_UNREADABLE`.
 */
export function vmRecord(object: CustomObject): VmRecord {
  const { name, namespace } = object.metadata
  const spec = object.spec ?? {}
  const { further, observedGeneration: _, ...status } = currentStatus(object) ?? assumedStatus(spec)
  const conditions = Array.isArray(status.conditions)
    ? status.conditions.map(fromStandard)
    : status.conditions
  const record: Record<string, unknown> = {
    ...(fromKubernetes(VmSpec, spec) as object),
    ...(fromKubernetes(VmStatus, { ...status, conditions }) as object),
    ...(isFields(further) && further),
  }
  const kept = isFields(further) ? further : {}
  for (const [key, { schema, required }] of readable) {
    const value = record[key]
    // What is kept as it is was put by a controller that knew more of it.
    if (Object.hasOwn(kept, key) || (value === undefined && !required) || Value.Check(schema, value)) continue
    throw new MooringError('STORE_UNREADABLE', {
      detail: `virtualmachines.mesh.mooring ${namespace}/${name}: ${key} is missing, or not what it should be`,
    })
  }
  const { deletionTimestamp } = object.metadata
  const known = record as unknown as VmRecord
  return deletionTimestamp === undefined ? known : removedRecord(known, Date.parse(deletionTimestamp))
}

/** Value of the annotation that carries a status with the spec of the given generation. */
export function carriedStatus(status: Fields, generation: number): string {
  return JSON.stringify({ generation, status })
}

/** The status in force: the one that came with the spec, while it is not written yet. */
export function currentStatus(object: CustomObject): Fields | undefined {
  return readCarried(object) ?? object.status
}

function readCarried({ metadata, status }: CustomObject): Fields | undefined {
  const text = metadata.annotations?.[statusAnnotation]
  const { generation = 0, deletionTimestamp } = metadata
  if (text === undefined) return undefined
  try {
    const carried: unknown = JSON.parse(text)
    if (!isFields(carried) || !isFields(carried.status)) return undefined
    // One of an earlier spec, which somebody changed since, is history; being deleted counts as a change.
    const isOfNow =
      carried.generation === generation ||
      (deletionTimestamp !== undefined && carried.generation === generation - 1)
    const isWritten = Number(status?.observedGeneration ?? 0) >= Number(carried.generation)
    return isOfNow && !isWritten ? carried.status : undefined
  } catch {
    return undefined
  }
}

/** Of a VM whose status is not there, as after a restore from a backup: nothing is known to be well. */
function assumedStatus(spec: Fields): Fields {
  const admitted = Date.parse(String(spec.admittedAt)) || 0
  return {
    phase: 'lost',
    phaseSince: spec.admittedAt,
    health: 'unknown',
    conditions: [],
    lastSeenAt: spec.admittedAt,
    certificateExpiresAt: spec.admittedAt,
    workloadCertificateUntil: new Date(admitted + longestWorkloadMs).toISOString(),
    agentVersion: '',
    sidecarRestarts: 0,
    bundleRevision: '',
    facts: {},
  }
}

const specFields = closedFields(VmSpec)
const statusFields = closedFields(VmStatus)
/** What every reader of a record relies on. */
const readable = new Map(
  [VmSpec, VmStatus].flatMap((schema) =>
    Object.entries(schema.properties as Record<string, TSchema>).map(
      ([key, field]) =>
        [
          key,
          {
            schema: field,
            required: (schema as { required?: readonly string[] }).required?.includes(key) ?? false,
          },
        ] as const,
    ),
  ),
)

function closedFields(schema: TObject): ReadonlyMap<string, TSchema> {
  return new Map(
    Object.entries(schema.properties as Record<string, TSchema>).map(([key, field]) => [key, closed(field)]),
  )
}

function fits(fields: ReadonlyMap<string, TSchema>, key: string, value: unknown): boolean {
  const schema = fields.get(key)
  return schema !== undefined && Value.Check(schema, value)
}

function schemaOf(key: string): TSchema {
  return (specFields.get(key) ?? statusFields.get(key)) as TSchema
}

function standard({ since, ...rest }: { since?: unknown }): Fields {
  return { ...rest, lastTransitionTime: since }
}

function fromStandard(condition: unknown): unknown {
  if (!isFields(condition)) return condition
  const { lastTransitionTime, observedGeneration: _, ...rest } = condition
  return { ...rest, since: lastTransitionTime }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
