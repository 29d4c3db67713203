import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Clock } from '../shared/clock.ts'
import { isMooringError, MooringError } from '../shared/errors.ts'
import { type ArchiveEntry, readArchive, textOf, writeArchive } from './backup-archive.ts'
import type { Client } from './kubernetes/client.ts'
import { apiVersionOf, type KubernetesObject, type ResourceType } from './kubernetes/resource.ts'
import { authorityLabel, authoritySecretName } from './pki/authority-secret.ts'
import {
  finalizer,
  kindLabel,
  pools,
  secrets,
  statusAnnotation,
  virtualMachines,
} from './store/kubernetes/resources.ts'
import { carriedStatus, currentStatus } from './store/kubernetes/vm-codec.ts'

export interface ClusterBackupDeps {
  readonly client: Client
  /** The controller's own. */
  readonly namespace: string
  readonly release: string
  readonly clock: Clock
  readonly version: string
  readonly signal: AbortSignal
}

const kinds = { secrets, pools, virtualmachines: virtualMachines } as const
type Plural = keyof typeof kinds
/** A controller that runs writes too. */
const mostTries = 10
/** etcd takes no object over 1.5 MB. */
const mostObject = 2 * 1024 * 1024

const Saved = Type.Object({
  metadata: Type.Object({
    name: Type.String({ minLength: 1, maxLength: 253 }),
    namespace: Type.String({ minLength: 1, maxLength: 63 }),
    labels: Type.Optional(Type.Record(Type.String(), Type.String())),
    annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
    finalizers: Type.Optional(Type.Array(Type.Enum([finalizer]))),
  }),
  type: Type.Optional(Type.String()),
  data: Type.Optional(Type.Record(Type.String(), Type.String())),
  spec: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  status: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
})

interface Content extends KubernetesObject {
  readonly type?: string
  readonly data?: Readonly<Record<string, string>>
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: Readonly<Record<string, unknown>>
}

/**
 * Writes all that the cluster keeps for the controller and nobody can make again: its authority, operators and join
 * tokens (their hashes), pools, VMs. Istio's objects follow from them. Answers how many objects there are.
 */
export async function backUpCluster(out: string | Writable, deps: ClusterBackupDeps): Promise<number> {
  const all = await present(deps)
  const mark = {
    of: 'cluster',
    version: deps.version,
    time: new Date(deps.clock.now()).toISOString(),
  } as const
  async function* entries(): AsyncGenerator<ArchiveEntry> {
    for (const [plural, object] of all)
      yield { name: nameOf(plural, object), content: JSON.stringify(object) }
  }
  await writeArchive(out, mark, entries())
  return all.length
}

/**
 * Puts the objects of a backup into the cluster; a controller may run, and takes them in. One that is there and says
 * something else is refused without `force`, and with it kept in the file `setAside`; objects that the backup does not
 * know stay. What was cut short may be repeated. Throws `CONFIG_INVALID`, and `NOT_FOUND` for a namespace.
 */
export async function restoreCluster(
  source: string | Readable,
  {
    force,
    asideFolder,
    ...deps
  }: ClusterBackupDeps & { readonly force: boolean; readonly asideFolder: string },
): Promise<{ readonly objects: number; readonly setAside?: string }> {
  const saved = await readSaved(source, deps.namespace)
  if (!saved.some(([, { metadata }]) => metadata.labels?.[authorityLabel] !== undefined)) {
    throw invalid('the backup holds no authority of a controller')
  }
  const there = new Map((await present(deps)).map(([plural, object]) => [nameOf(plural, object), object]))
  const others = saved.filter(([plural, object]) => {
    const now = there.get(nameOf(plural, object))
    return now !== undefined && !isSame(now, object)
  })
  let setAside: string | undefined
  if (others.length > 0) {
    const [first = ''] = others.map(
      ([plural, { metadata }]) => `${plural} ${metadata.namespace}/${metadata.name}`,
    )
    if (!force) {
      throw invalid(
        `${others.length} objects are there and differ, the first is ${first}; --force replaces them`,
      )
    }
    setAside = join(asideFolder, `before-restore-${randomBytes(6).toString('hex')}.tar.gz`)
    await backUpCluster(setAside, deps)
  }
  for (const [plural, object] of saved) {
    const now = there.get(nameOf(plural, object))
    if (now === undefined || !isSame(now, object)) await put(deps, plural, object)
  }
  return { objects: saved.length, ...(setAside !== undefined && { setAside }) }
}

/** What is to be kept, in the order in which it is put back: nobody is let in before it is known who they are. */
async function present(deps: ClusterBackupDeps): Promise<readonly (readonly [Plural, Content])[]> {
  const { client, namespace, release, signal } = deps
  const options = { signal }
  const authority = await client.get<Content>(
    secrets,
    { namespace, name: authoritySecretName(release) },
    options,
  )
  const records = await client.list<Content>(secrets, { namespace, labels: kindLabel }, options)
  const allPools = await client.list<Content>(pools, {}, options)
  const vms = await client.list<Content>(virtualMachines, {}, options)
  return [
    ...(authority === undefined ? [] : [['secrets', kept(authority)] as const]),
    ...records.items.map((object) => ['secrets', kept(object)] as const),
    ...allPools.items.filter(isStaying).map((object) => ['pools', kept(withoutStatus(object))] as const),
    ...vms.items
      .filter(isStaying)
      .map((object) => ['virtualmachines', kept(withCurrentStatus(object))] as const),
  ]
}

/** What somebody has deleted is on its way out. */
function isStaying({ metadata }: KubernetesObject): boolean {
  return metadata.deletionTimestamp === undefined
}

function withoutStatus({ status: _, ...object }: Content): Content {
  return object
}

/** Spec and status are two writes; what the annotation carries stands for the second while that is missing. */
function withCurrentStatus({ status: _, ...object }: Content): Content {
  const status = currentStatus({ ...object, ...(_ && { status: _ }) })
  const { [statusAnnotation]: __, ...annotations } = object.metadata.annotations ?? {}
  return { ...object, metadata: { ...object.metadata, annotations }, ...(status && { status }) }
}

/** Without what the API server makes: versions, times, owners that another cluster does not know. */
function kept({ metadata, type, data, spec, status }: Content): Content {
  const { name, namespace, labels, annotations = {}, finalizers = [] } = metadata
  return {
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      ...(labels && { labels }),
      ...(Object.keys(annotations).length > 0 && { annotations }),
      ...(finalizers.includes(finalizer) && { finalizers: [finalizer] }),
    },
    ...(type !== undefined && { type }),
    ...(data !== undefined && { data }),
    ...(spec !== undefined && { spec }),
    ...(status !== undefined && { status }),
  }
}

function isSame(a: Content, b: Content): boolean {
  return isDeepStrictEqual([a.data, a.spec], [b.data, b.spec])
}

async function put(deps: ClusterBackupDeps, plural: Plural, object: Content): Promise<void> {
  const { client, signal } = deps
  const type: ResourceType = kinds[plural]
  const { status, ...rest } = object
  const { namespace = '', name } = object.metadata
  const annotations = { ...object.metadata.annotations }
  // In force from the first moment on: a VM without a status counts as lost.
  if (status !== undefined) annotations[statusAnnotation] = carriedStatus(status, 1)
  const made = { ...rest, metadata: { ...object.metadata, annotations }, apiVersion: apiVersionOf(type) }
  let answer: Content
  try {
    answer = await client.create<Content>(type, made, { signal })
  } catch (error) {
    if (isMooringError(error, 'NOT_FOUND')) {
      throw new MooringError('NOT_FOUND', {
        detail: `namespace ${namespace}, into which ${plural} ${name} belongs; make it, and repeat`,
        cause: error,
      })
    }
    if (!isMooringError(error, 'CONFLICT')) throw error
    return replace(deps, type, rest)
  }
  if (status === undefined) return
  const { generation = 1 } = answer.metadata
  const current = {
    ...rest,
    metadata: answer.metadata,
    status: { ...status, observedGeneration: generation },
  }
  try {
    await client.replace<Content>(type, current, { subresource: 'status', signal })
  } catch (error) {
    // A controller that runs was faster, and knows better what is the case.
    if (!isMooringError(error, 'CONFLICT') && !isMooringError(error, 'NOT_FOUND')) throw error
  }
}

/** One that is there: what is wished of it; what is the case with it stays. */
async function replace(
  { client, signal }: ClusterBackupDeps,
  type: ResourceType,
  object: Content,
): Promise<void> {
  const { namespace = '', name } = object.metadata
  for (let tries = 1; ; tries += 1) {
    try {
      const now = await client.get<Content>(type, { namespace, name }, { signal })
      if (now === undefined)
        throw new MooringError('CONFLICT', { detail: `${namespace}/${name} comes and goes` })
      const { resourceVersion } = now.metadata
      const metadata = { ...object.metadata, ...(resourceVersion && { resourceVersion }) }
      await client.replace<Content>(type, { ...object, metadata }, { signal })
      return
    } catch (error) {
      if (!isMooringError(error, 'CONFLICT') || tries === mostTries) throw error
    }
  }
}

async function readSaved(
  source: string | Readable,
  namespace: string,
): Promise<readonly (readonly [Plural, Content])[]> {
  const from = typeof source === 'string' ? source : 'it'
  const saved: [Plural, Content][] = []
  await readArchive(source, {
    of: 'cluster',
    from,
    accepts: (name, size) => size <= mostObject && pluralOf(name) !== undefined,
    async take(name, content) {
      const object: unknown = JSON.parse(await textOf(content))
      const plural = pluralOf(name)
      if (plural === undefined || !Value.Check(Saved, object) || nameOf(plural, object) !== name) {
        throw invalid(`${name} in the backup is not what its name says`)
      }
      if (plural === 'secrets' && !isOwn(object, namespace)) {
        throw invalid(`${name} in the backup is no Secret of a controller in namespace ${namespace}`)
      }
      saved.push([plural, object])
    },
  })
  return saved
}

/** A backup from elsewhere must not bring Secrets that have nothing to do with a controller. */
function isOwn({ metadata }: KubernetesObject, namespace: string): boolean {
  const labels = metadata.labels ?? {}
  return metadata.namespace === namespace && (kindLabel in labels || authorityLabel in labels)
}

function nameOf(plural: Plural, { metadata }: KubernetesObject): string {
  return `cluster/${plural}/${metadata.namespace}/${metadata.name}.json`
}

function pluralOf(name: string): Plural | undefined {
  const [, plural = ''] = /^cluster\/([a-z]+)\/[a-z0-9-]+\/[a-z0-9.-]+\.json$/.exec(name) ?? []
  return Object.hasOwn(kinds, plural) ? (plural as Plural) : undefined
}

function invalid(detail: string): MooringError {
  return new MooringError('CONFIG_INVALID', { detail })
}
