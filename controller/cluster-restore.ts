import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { isMooringError, MooringError } from '../shared/errors.ts'
import { readArchive, textOf } from './backup-archive.ts'
import {
  type BackupKind,
  type BackupObject,
  backUpCluster,
  backupKinds,
  backupName,
  type ClusterBackupDeps,
  objectsToKeep,
} from './cluster-backup.ts'
import { apiVersionOf, type KubernetesObject, type ResourceType } from './kubernetes/resource.ts'
import { authorityLabel } from './pki/authority-secret.ts'
import { finalizer, kindLabel, statusAnnotation } from './store/kubernetes/resources.ts'
import { carriedStatus } from './store/kubernetes/vm-codec.ts'

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
  const there = new Map(
    (await objectsToKeep(deps)).map(([plural, object]) => [backupName(plural, object), object]),
  )
  const others = saved.filter(([plural, object]) => {
    const now = there.get(backupName(plural, object))
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
    const now = there.get(backupName(plural, object))
    if (now === undefined || !isSame(now, object)) await put(deps, plural, object)
  }
  return { objects: saved.length, ...(setAside !== undefined && { setAside }) }
}

function isSame(a: BackupObject, b: BackupObject): boolean {
  return isDeepStrictEqual([a.data, a.spec], [b.data, b.spec])
}

async function put(deps: ClusterBackupDeps, plural: BackupKind, object: BackupObject): Promise<void> {
  const { client, signal } = deps
  const type: ResourceType = backupKinds[plural]
  const { status, ...rest } = object
  const { namespace = '', name } = object.metadata
  const annotations = { ...object.metadata.annotations }
  // In force from the first moment on: a VM without a status counts as lost.
  if (status !== undefined) annotations[statusAnnotation] = carriedStatus(status, 1)
  const made = { ...rest, metadata: { ...object.metadata, annotations }, apiVersion: apiVersionOf(type) }
  let answer: BackupObject
  try {
    answer = await client.create<BackupObject>(type, made, { signal })
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
    await client.replace<BackupObject>(type, current, { subresource: 'status', signal })
  } catch (error) {
    // A controller that runs was faster, and knows better what is the case.
    if (!isMooringError(error, 'CONFLICT') && !isMooringError(error, 'NOT_FOUND')) throw error
  }
}

/** One that is there: what is wished of it; what is the case with it stays. */
async function replace(
  { client, signal }: ClusterBackupDeps,
  type: ResourceType,
  object: BackupObject,
): Promise<void> {
  const { namespace = '', name } = object.metadata
  for (let tries = 1; ; tries += 1) {
    try {
      const now = await client.get<BackupObject>(type, { namespace, name }, { signal })
      if (now === undefined)
        throw new MooringError('CONFLICT', { detail: `${namespace}/${name} comes and goes` })
      const { resourceVersion } = now.metadata
      const metadata = { ...object.metadata, ...(resourceVersion && { resourceVersion }) }
      await client.replace<BackupObject>(type, { ...object, metadata }, { signal })
      return
    } catch (error) {
      if (!isMooringError(error, 'CONFLICT') || tries === mostTries) throw error
    }
  }
}

async function readSaved(
  source: string | Readable,
  namespace: string,
): Promise<readonly (readonly [BackupKind, BackupObject])[]> {
  const from = typeof source === 'string' ? source : 'it'
  const saved: [BackupKind, BackupObject][] = []
  await readArchive(source, {
    of: 'cluster',
    from,
    accepts: (name, size) => size <= mostObject && kindOf(name) !== undefined,
    async take(name, content) {
      const object: unknown = JSON.parse(await textOf(content))
      const plural = kindOf(name)
      if (plural === undefined || !Value.Check(Saved, object) || backupName(plural, object) !== name) {
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

function kindOf(name: string): BackupKind | undefined {
  const [, plural = ''] = /^cluster\/([a-z]+)\/[a-z0-9-]+\/[a-z0-9.-]+\.json$/.exec(name) ?? []
  return Object.hasOwn(backupKinds, plural) ? (plural as BackupKind) : undefined
}

function invalid(detail: string): MooringError {
  return new MooringError('CONFIG_INVALID', { detail })
}
