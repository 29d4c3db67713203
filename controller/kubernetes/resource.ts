/** A kind of resource, as the API server's paths name it; the core group is `''`. */
export interface ResourceType {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
}

/** Which objects: one namespace or all; `labels` is a label selector. */
export interface Scope {
  readonly namespace?: string
  readonly labels?: string
}

export interface ObjectName {
  /** Absent for kinds without namespaces. */
  readonly namespace?: string
  readonly name: string
}

/** The metadata that Mooring reads and writes. Times are RFC 3339. */
export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
  readonly ownerReferences?: readonly unknown[]
  readonly managedFields?: readonly { readonly time?: string; readonly subresource?: string }[]
}

export interface KubernetesObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: ObjectMeta
}

/** Value of an object's `apiVersion`. */
export function apiVersionOf({ group, version }: Pick<ResourceType, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`
}

/** Path of a collection, or with a name of one object or its subresource. */
export function pathOf(type: ResourceType, at: Partial<ObjectName> = {}, subresource?: string): string {
  const parts = [
    type.group === '' ? `api/${type.version}` : `apis/${type.group}/${type.version}`,
    ...(at.namespace === undefined ? [] : ['namespaces', encodeURIComponent(at.namespace)]),
    type.plural,
    ...(at.name === undefined ? [] : [encodeURIComponent(at.name)]),
    ...(subresource === undefined ? [] : [subresource]),
  ]
  return `/${parts.join('/')}`
}

/** `virtualmachines.mesh.mooring`, as RBAC and error messages of Kubernetes write it. */
export function fullName({ plural, group }: ResourceType): string {
  return group === '' ? plural : `${plural}.${group}`
}

/**
 * Which of two resource versions of one kind is newer: negative when `a` is the older. They are decimal numbers
 * that grow (Kubernetes API concepts, "Resource versions"), and may be longer than a double holds.
 */
export function compareVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a === b ? 0 : a < b ? -1 : 1
}
