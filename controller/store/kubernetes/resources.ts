import type { KubernetesObject, ResourceType } from '../../kubernetes/resource.ts'

/** API group and version of Mooring's own kinds. */
export const group = 'mesh.mooring'
export const version = 'v1alpha1'

export const pools: ResourceType = { group, version, plural: 'pools', kind: 'Pool' }
export const virtualMachines: ResourceType = {
  group,
  version,
  plural: 'virtualmachines',
  kind: 'VirtualMachine',
}
export const secrets: ResourceType = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' }

/** On Secrets of the controller: which kind of resource is in them. */
export const kindLabel = `${group}/kind`
/** On VMs and join tokens: their pool. */
export const poolLabel = `${group}/pool`
/** On pages of uses: their join token. */
export const tokenLabel = `${group}/token`
/** Keeps Pools and VMs from vanishing under those who depend on them; see `removal.ts`. */
export const finalizer = `${group}/leave`
/** Status that was decided together with the spec it came with; see `vm-codec.ts`. */
export const statusAnnotation = `${group}/status`
/** When the controller wrote a pool's spec, to the millisecond, and as which generation. */
export const writtenAnnotation = `${group}/written`

/** A condition in the standard form, meta/v1. */
export interface StandardCondition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
  readonly lastTransitionTime: string
  readonly observedGeneration?: number
}

/** A Pool or a VirtualMachine. */
export interface CustomObject extends KubernetesObject {
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: Readonly<Record<string, unknown>>
}

export interface SecretObject extends KubernetesObject {
  readonly type?: string
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>
}
