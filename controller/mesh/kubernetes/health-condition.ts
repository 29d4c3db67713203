import type { IstioObject } from '../mesh.ts'
import type { KnownObject } from './cluster-object.ts'

/** `True` or `False`; `undefined` for an entry that was never judged. */
export type Wanted = string | undefined

/** What an entry's `Healthy` condition should be. */
export function wantedHealth(object: IstioObject): Wanted {
  const conditions = object.status?.conditions as { type: string; status: string }[] | undefined
  return conditions?.find(({ type }) => type === 'Healthy')?.status
}

/** Whether its status must be written. An older `observedGeneration` would say that it holds for an older spec. */
export function healthDiffers(known: KnownObject | undefined, wanted: Wanted): boolean {
  const { health, generation = 0, object } = known ?? {}
  const conditions = object?.status?.conditions as unknown[] | undefined
  if (wanted === undefined) return conditions !== undefined
  return (
    health?.status !== wanted || health.observedGeneration !== generation || (conditions?.length ?? 0) !== 1
  )
}

/**
 * The body that applies the status of an entry: Istio's condition (istio.io/api meta/v1alpha1), of which the
 * transition time moves with the status alone. The list is atomic in Istio's definition.
 */
export function statusBody(object: IstioObject, known: KnownObject, now: number): object {
  const { apiVersion, kind, metadata } = object
  const wanted = wantedHealth(object)
  const { health, generation, uid } = known
  const since = health !== undefined && health.status === wanted ? health.since : undefined
  const condition = {
    type: 'Healthy',
    status: wanted,
    reason: wanted === 'True' ? 'Ready' : 'NotReady',
    message: wanted === 'True' ? 'the VM serves' : 'the VM takes no new requests',
    lastTransitionTime: since ?? new Date(now).toISOString(),
    observedGeneration: generation,
  }
  return {
    apiVersion,
    kind,
    metadata: { name: metadata.name, namespace: metadata.namespace, uid },
    // Not left out: the status of nothing at all would be null, which Istio's definition refuses.
    status: { conditions: wanted === undefined ? [] : [condition] },
  }
}
