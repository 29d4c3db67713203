import { createHash } from 'node:crypto'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { IstioObject, ObjectRef } from '../mesh.ts'
import { canonical, revisionAnnotation } from '../objects.ts'

const Text = Type.String({ maxLength: 4096 })
const Texts = Type.Record(Text, Text)

/** The shape of one line: an object in JSON. A file of such lines is a stream that istiod's YAML reader takes. */
const Line = Type.Object({
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

// istiod takes half a megabyte of memory for each file that it reads, and reads all of them at every change
// (k8s.io/apimachinery util/yaml, NewYAMLOrJSONDecoder): with 1,000 entries a reload of single files takes
// five times as long.
const entryFiles = 32

/**
 * The name of an object's file. Entries, of which there are many, share some; what operators have a hand in
 * has a file of its own, so that a fault in it is its own.
 */
export function fileName({ kind, namespace, name }: ObjectRef): string {
  const hash = createHash('sha256').update(`${namespace}/${name}`).digest()
  if (kind === 'WorkloadEntry')
    return `${kind}.${String(hash.readUInt8(0) % entryFiles).padStart(2, '0')}.yaml`
  // File systems end at 255 bytes, names of hosts at 253.
  return `${kind}.${namespace}.${name.length <= 150 ? name : hash.toString('hex')}.yaml`
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

/** What the file of these objects holds. */
export function fileText(written: Iterable<WrittenObject>): string {
  const lines = [...written].map(({ object, revision }) => {
    const { apiVersion, kind, metadata, spec, status } = object
    const annotations = { ...metadata.annotations, [revisionAnnotation]: revision }
    return JSON.stringify({ apiVersion, kind, metadata: { ...metadata, annotations }, spec, status })
  })
  return lines.map((line) => `${line}\n`).join('')
}

/** Reads such a file back; undefined when it is not one that this program wrote, or not whole. */
export function parseFile(text: string): readonly WrittenObject[] | undefined {
  if (!text.endsWith('\n')) return undefined
  const written: WrittenObject[] = []
  for (const line of text.slice(0, -1).split('\n')) {
    const one = parseLine(line)
    if (one === undefined) return undefined
    written.push(one)
  }
  return written
}

function parseLine(text: string): WrittenObject | undefined {
  let line: unknown
  try {
    line = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!Value.Check(Line, line)) return undefined
  const { annotations, labels, name, namespace } = line.metadata
  const { [revisionAnnotation]: revision, ...others } = annotations
  if (revision === undefined) return undefined
  const object: IstioObject = {
    apiVersion: line.apiVersion,
    kind: line.kind,
    metadata: {
      name,
      namespace,
      ...(labels && { labels }),
      ...(Object.keys(others).length > 0 && { annotations: others }),
    },
    spec: line.spec,
    ...(line.status && { status: line.status }),
  }
  return { object, revision }
}
