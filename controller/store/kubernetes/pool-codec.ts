import { Value } from 'typebox/value'
import { closed } from '../../../shared/api/closed.ts'
import { PoolSpec } from '../../../shared/api/operator.ts'
import { MooringError } from '../../../shared/errors.ts'
import type { PoolRecord } from '../records.ts'
import { type CustomObject, writtenAnnotation } from './resources.ts'

const schema = closed(PoolSpec)

/** A pool's spec as its object has it: the namespace is that of the object. */
export function poolFields({ namespace: _, ...fields }: PoolSpec): Readonly<Record<string, unknown>> {
  return fields
}

/** The spec out of a Pool's fields; throws `REQUEST_INVALID` with the field that is wrong. */
export function poolSpec(fields: unknown, namespace: string): PoolSpec {
  const spec: unknown = { namespace, ...(fields as object) }
  if (Value.Check(schema, spec)) return spec
  const [fault] = Value.Errors(schema, spec)
  throw new MooringError('REQUEST_INVALID', {
    detail: `spec${fault?.instancePath ?? ''} ${fault?.message ?? ''}`,
  })
}

/** Value of the annotation with the times of a pool that the controller wrote. */
export function writtenTimes({ createdAt, updatedAt }: PoolRecord, generation: number): string {
  return JSON.stringify({ createdAt, updatedAt, generation })
}

/** When a pool was made and changed: as the controller noted it, or for one that kubectl wrote, as Kubernetes did. */
export function poolTimes({ metadata }: CustomObject): Pick<PoolRecord, 'createdAt' | 'updatedAt'> {
  const noted = readNoted(metadata.annotations?.[writtenAnnotation])
  const created = noted?.createdAt ?? moment(metadata.creationTimestamp)
  if (noted !== undefined && noted.generation === metadata.generation) {
    return { createdAt: created, updatedAt: noted.updatedAt }
  }
  const changes = (metadata.managedFields ?? [])
    .filter(({ subresource }) => subresource === undefined || subresource === '')
    .map(({ time }) => moment(time))
  return { createdAt: created, updatedAt: Math.max(created, noted?.updatedAt ?? 0, ...changes) }
}

interface Noted {
  readonly createdAt: number
  readonly updatedAt: number
  readonly generation: number
}

function readNoted(text: string | undefined): Noted | undefined {
  if (text === undefined) return undefined
  try {
    const noted = JSON.parse(text) as Partial<Noted> | null
    const { createdAt, updatedAt, generation } = noted ?? {}
    const isWhole = [createdAt, updatedAt, generation].every((part) => Number.isSafeInteger(part))
    return isWhole ? (noted as Noted) : undefined
  } catch {
    return undefined
  }
}

function moment(time: string | undefined): number {
  return time === undefined ? 0 : Date.parse(time) || 0
}
