import { createHash } from 'node:crypto'
import type { ObjectMeta } from '../../kubernetes/resource.ts'
import { managed, ownLabels } from '../identity-labels.ts'
import type { IstioObject } from '../mesh.ts'

/** Who writes, in an object's `managedFields`. */
export const fieldManager = 'mooring'

/** Which installation an object belongs to: several may write into one cluster, and none may sweep another's. */
export const ownerLabel = 'mesh.mooring/owner'

/** Metadata with what tells who wrote it. */
export interface OwnedMeta extends ObjectMeta {
  readonly managedFields?: readonly ManagedFields[]
}

interface ManagedFields {
  readonly manager?: string
  readonly operation?: string
  readonly subresource?: string
  readonly time?: string
  /** Structured-merge-diff's tree of field names: `f:metadata` → `f:labels` → `f:app`. */
  readonly fieldsV1?: FieldTree
}
interface FieldTree {
  readonly [name: string]: FieldTree
}

/** `owner` as a label value: itself where it is one, else its readable part and a hash of it. */
export function ownerValue(owner: string): string {
  if (/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(owner)) return owner
  const hash = createHash('sha256').update(owner).digest('hex').slice(0, 12)
  const readable = owner.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-|-$/g, '')
  return readable === '' ? hash : `${readable.slice(0, 50)}-${hash}`
}

/** Label selector of everything that this installation wrote. */
export function ownSelector(owner: string): string {
  const labels = { ...managed, [ownerLabel]: ownerValue(owner) }
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}

/** Whether this installation may write the object. */
export function isOwn(metadata: ObjectMeta, owner: string): boolean {
  const { labels = {} } = metadata
  return (
    labels[ownLabels.managedBy] === managed[ownLabels.managedBy] && labels[ownerLabel] === ownerValue(owner)
  )
}

/** Who it is that an object belongs to, for people. */
export function holderOf(metadata: OwnedMeta): string {
  const other = metadata.labels?.[ownerLabel]
  if (other !== undefined) return `the installation ${other}`
  const managers = new Set((metadata.managedFields ?? []).map(({ manager = '?' }) => manager))
  return managers.size === 0 ? 'somebody else' : [...managers].join(', ')
}

/** The labels that an object is written with. */
export function ownedLabels(object: IstioObject, owner: string): Readonly<Record<string, string>> {
  return { ...object.metadata.labels, ...managed, [ownerLabel]: ownerValue(owner) }
}

/**
 * Of a map in the metadata, what the controller wrote and nobody has changed since: whoever changes a field takes
 * it over. What others add is theirs, and no reason to write anything.
 */
export function ownPart(metadata: OwnedMeta, part: 'labels' | 'annotations'): Record<string, string> {
  const own = new Set<string>()
  for (const { manager, subresource, fieldsV1 } of metadata.managedFields ?? []) {
    if (manager !== fieldManager || subresource !== undefined) continue
    for (const field of Object.keys(fieldsV1?.['f:metadata']?.[`f:${part}`] ?? {})) {
      if (field.startsWith('f:')) own.add(field.slice(2))
    }
  }
  const values = Object.entries(metadata[part] ?? {}).filter(([key]) => own.has(key) && key !== ownerLabel)
  return Object.fromEntries(values)
}
