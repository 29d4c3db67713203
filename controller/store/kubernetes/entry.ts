import type { ObjectMeta } from '../../kubernetes/resource.ts'
import { finalizer, statusAnnotation, writtenAnnotation } from './resources.ts'
import type { Entry } from './shelf.ts'

/** What the store remembers of an object's metadata, with its value. */
export function entryOf<V>(metadata: ObjectMeta, key: string, value: V): Entry<V> {
  const { [statusAnnotation]: _, [writtenAnnotation]: __, ...annotations } = metadata.annotations ?? {}
  const { labels, finalizers, ownerReferences, deletionTimestamp } = metadata
  return {
    key,
    value,
    uid: metadata.uid ?? '',
    version: metadata.resourceVersion ?? '',
    generation: metadata.generation ?? 1,
    created: metadata.creationTimestamp ?? '',
    ...(deletionTimestamp !== undefined && { deleting: deletionTimestamp }),
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    kept: {
      ...(labels !== undefined && { labels }),
      ...(Object.keys(annotations).length > 0 && { annotations }),
      ...(finalizers !== undefined && { finalizers }),
      ...(ownerReferences !== undefined && { ownerReferences }),
    },
  }
}

/** Metadata for a replacement of the object: what others put on it, and what the store says anew. */
export function metadataFor(
  { kept, name, namespace, version }: Pick<Entry<unknown>, 'kept' | 'name' | 'namespace' | 'version'>,
  labels: Readonly<Record<string, string>> = {},
  annotations: Readonly<Record<string, string>> = {},
): ObjectMeta {
  const all = { labels: { ...kept.labels, ...labels }, annotations: { ...kept.annotations, ...annotations } }
  return {
    ...kept,
    name,
    namespace,
    ...(version !== '' && { resourceVersion: version }),
    ...(Object.keys(all.labels).length > 0 && { labels: all.labels }),
    ...(Object.keys(all.annotations).length > 0 && { annotations: all.annotations }),
  }
}

/** Metadata of a Pool or VM that is not there yet: it is removed before it vanishes. */
export function heldMetadata(...args: Parameters<typeof newMetadata>): ObjectMeta {
  return { ...newMetadata(...args), finalizers: [finalizer] }
}

/** Metadata for a replacement of the object with the controller's finalizer, or without. */
export function finalized(entry: Entry<unknown>, isHeld: boolean): ObjectMeta {
  const others = (entry.kept.finalizers ?? []).filter((one) => one !== finalizer)
  return { ...metadataFor(entry), finalizers: isHeld ? [...others, finalizer] : others }
}

/** Metadata of an object that is not there yet. */
export function newMetadata(
  namespace: string,
  name: string,
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>> = {},
): ObjectMeta {
  return metadataFor({ kept: {}, name, namespace, version: '' }, labels, annotations)
}
