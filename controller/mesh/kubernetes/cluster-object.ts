import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { MooringError } from '../../../shared/errors.ts'
import { apiVersionOf } from '../../kubernetes/resource.ts'
import type { IstioObject, ObjectKind, ObjectRef } from '../mesh.ts'
import { canonical } from '../objects.ts'
import { type OwnedMeta, ownedLabels, ownPart } from './ownership.ts'
import { meshTypes } from './resource-types.ts'

/** An object as the API server has it. */
export interface ClusterObject {
  readonly metadata: OwnedMeta
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: Readonly<Record<string, unknown>>
}

/** What is known of an object of ours. */
export interface KnownObject {
  /** As its author would write it: compare with `sameObject`. */
  readonly object: IstioObject
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number
  readonly health?: WrittenHealth
}

/** The `Healthy` condition of an entry. */
export interface WrittenHealth {
  readonly status: string
  /** RFC 3339. */
  readonly since: string | undefined
  readonly observedGeneration: number | undefined
}

const Text = Type.String()
const Texts = Type.Record(Text, Text)
const objectCheck = Compile(
  Type.Object({
    metadata: Type.Object({
      name: Text,
      namespace: Text,
      uid: Text,
      resourceVersion: Text,
      generation: Type.Optional(Type.Integer()),
      labels: Type.Optional(Texts),
      annotations: Type.Optional(Texts),
      managedFields: Type.Optional(
        Type.Array(
          Type.Object({
            manager: Type.Optional(Text),
            subresource: Type.Optional(Text),
            fieldsV1: Type.Optional(Type.Record(Text, Type.Unknown())),
          }),
        ),
      ),
    }),
    spec: Type.Optional(Type.Record(Text, Type.Unknown())),
    status: Type.Optional(Type.Record(Text, Type.Unknown())),
  }),
)
const conditionsCheck = Compile(
  Type.Array(
    Type.Object({
      type: Type.Optional(Text),
      status: Type.Optional(Text),
      lastTransitionTime: Type.Optional(Text),
      // A 64-bit number in Istio's JSON is a text.
      observedGeneration: Type.Optional(Type.Union([Type.Integer(), Text])),
    }),
  ),
)

/** Reads an answer of the API server; throws `MESH_UNAVAILABLE` when it is no such object. */
export function parseObject(value: unknown): ClusterObject {
  if (!objectCheck.Check(value)) {
    throw new MooringError('MESH_UNAVAILABLE', {
      detail: 'the API server answered something that is no object',
    })
  }
  return value as ClusterObject
}

/** What is to be remembered of it. Others' labels, annotations and the server's own fields are left out. */
export function knownObject(kind: ObjectKind, { metadata, spec = {}, status }: ClusterObject): KnownObject {
  const annotations = ownPart(metadata, 'annotations')
  const conditions = kind === 'WorkloadEntry' ? readConditions(status) : []
  const healthy = conditions.find(({ type }) => type === 'Healthy')
  return {
    object: {
      apiVersion: apiVersionOf(meshTypes[kind]),
      kind,
      metadata: {
        name: metadata.name,
        namespace: metadata.namespace ?? '',
        labels: ownPart(metadata, 'labels'),
        ...(Object.keys(annotations).length > 0 && { annotations }),
      },
      // A service account has references of its own where its spec would be.
      spec: kind === 'ServiceAccount' ? {} : spec,
      ...(conditions.length > 0 && {
        status: { conditions: conditions.map(({ type, status: is }) => ({ type, status: is })) },
      }),
    },
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    generation: metadata.generation ?? 0,
    ...(healthy?.status !== undefined && {
      health: {
        status: healthy.status,
        since: healthy.lastTransitionTime,
        observedGeneration:
          healthy.observedGeneration === undefined ? undefined : Number(healthy.observedGeneration),
      },
    }),
  }
}

function readConditions(status: ClusterObject['status']) {
  const { conditions } = status ?? {}
  return conditionsCheck.Check(conditions) ? conditions : []
}

/** The body that applies everything of `object` but its status. */
export function mainBody(object: IstioObject, owner: string, uid?: string): object {
  const { apiVersion, kind, metadata, spec } = object
  const { name, namespace, annotations } = metadata
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      ...(uid !== undefined && { uid }),
      labels: ownedLabels(object, owner),
      ...(annotations && { annotations }),
    },
    ...(kind !== 'ServiceAccount' && { spec }),
  }
}

/** Whether both say the same, status aside. */
export function sameMain(a: IstioObject, b: IstioObject): boolean {
  const main = ({ metadata: { labels = {}, annotations = {} }, spec }: IstioObject) =>
    canonical({ labels, annotations, spec })
  return main(a) === main(b)
}

/** The name of an object, for maps and words. */
export function refText({ kind, namespace, name }: ObjectRef): string {
  return `${kind} ${namespace}/${name}`
}
