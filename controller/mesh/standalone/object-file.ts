import { createHash } from 'node:crypto'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { IstioObject, ObjectRef } from '../mesh.ts'
import { canonical, revisionAnnotation } from '../objects.ts'

const Text = Type.String({ maxLength: 4096 })
const Texts = Type.Record(Text, Text)

/** The shape in which objects are written, one a file. JSON is YAML too, and has no surprises. */
const FileContent = Type.Object({
  apiVersion: Text,
  kind: Type.Enum(['WorkloadEntry', 'ServiceEntry', 'Sidecar', 'PeerAuthentication', 'AuthorizationPolicy']),
  metadata: Type.Object({
    name: Text,
    namespace: Text,
    labels: Type.Optional(Texts),
    annotations: Texts,
  }),
  spec: Type.Record(Type.String(), Type.Unknown()),
  status: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
})

/** An object as it lies in its file. `revision` changes with its content, and with every nudge. */
export interface WrittenObject {
  readonly object: IstioObject
  readonly revision: string
}

/** The name of an object's file. istiod looks at the ending alone. */
export function fileName({ kind, namespace, name }: ObjectRef): string {
  // File systems end at 255 bytes, names of hosts at 253.
  const short = name.length <= 150 ? name : createHash('sha256').update(name).digest('hex')
  return `${kind}.${namespace}.${short}.yaml`
}

/** One line that names an object. */
export function refText({ kind, namespace, name }: ObjectRef): string {
  return `${kind} ${namespace}/${name}`
}

/** The revision of an object that was nudged `nudges` times. */
export function revisionOf(object: IstioObject, nudges = 0): string {
  const hash = createHash('sha256').update(canonical(object)).digest('hex').slice(0, 16)
  return `${hash}-${nudges}`
}

/** The next revision of the same content: istiod sees a changed object. */
export function nudged({ object, revision }: WrittenObject): WrittenObject {
  const nudges = Number(revision.split('-')[1] ?? 0)
  return { object, revision: revisionOf(object, Number.isInteger(nudges) ? nudges + 1 : 1) }
}

/** What the file of an object holds. */
export function fileText({ object, revision }: WrittenObject): string {
  const { apiVersion, kind, metadata, spec, status } = object
  const annotations = { ...metadata.annotations, [revisionAnnotation]: revision }
  const content = { apiVersion, kind, metadata: { ...metadata, annotations }, spec, status }
  return `${JSON.stringify(content, undefined, 1)}\n`
}

/** Reads such a file back; undefined when it is not one that this program wrote. */
export function parseFile(text: string): WrittenObject | undefined {
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!Value.Check(FileContent, content)) return undefined
  const { annotations, labels, name, namespace } = content.metadata
  const { [revisionAnnotation]: revision, ...others } = annotations
  if (revision === undefined) return undefined
  const object: IstioObject = {
    apiVersion: content.apiVersion,
    kind: content.kind,
    metadata: {
      name,
      namespace,
      ...(labels && { labels }),
      ...(Object.keys(others).length > 0 && { annotations: others }),
    },
    spec: content.spec,
    ...(content.status && { status: content.status }),
  }
  return { object, revision }
}
