import type { Writable } from 'node:stream'
import type { Clock } from '../shared/clock.ts'
import { type ArchiveEntry, writeArchive } from './backup-archive.ts'
import type { Client } from './kubernetes/client.ts'
import type { KubernetesObject } from './kubernetes/resource.ts'
import { authoritySecretName } from './pki/authority-secret.ts'
import {
  finalizer,
  kindLabel,
  pools,
  secrets,
  statusAnnotation,
  virtualMachines,
} from './store/kubernetes/resources.ts'
import { currentStatus } from './store/kubernetes/vm-codec.ts'

export interface ClusterBackupDeps {
  readonly client: Client
  /** The controller's own. */
  readonly namespace: string
  readonly release: string
  readonly clock: Clock
  readonly version: string
  readonly signal: AbortSignal
}

/** What is kept, by the names that resources have in paths. */
export const backupKinds = { secrets, pools, virtualmachines: virtualMachines } as const
export type BackupKind = keyof typeof backupKinds
/** One object of a backup. */
export interface BackupObject extends KubernetesObject {
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
  const all = await objectsToKeep(deps)
  const mark = {
    of: 'cluster',
    version: deps.version,
    time: new Date(deps.clock.now()).toISOString(),
  } as const
  async function* entries(): AsyncGenerator<ArchiveEntry> {
    for (const [plural, object] of all)
      yield { name: backupName(plural, object), content: JSON.stringify(object) }
  }
  await writeArchive(out, mark, entries())
  return all.length
}

/** What is to be kept, in the order in which it is put back: nobody is let in before it is known who they are. */
export async function objectsToKeep(
  deps: ClusterBackupDeps,
): Promise<readonly (readonly [BackupKind, BackupObject])[]> {
  const { client, namespace, release, signal } = deps
  const options = { signal }
  const authority = await client.get<BackupObject>(
    secrets,
    { namespace, name: authoritySecretName(release) },
    options,
  )
  const records = await client.list<BackupObject>(secrets, { namespace, labels: kindLabel }, options)
  const allPools = await client.list<BackupObject>(pools, {}, options)
  const vms = await client.list<BackupObject>(virtualMachines, {}, options)
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

function withoutStatus({ status: _, ...object }: BackupObject): BackupObject {
  return object
}

/** Spec and status are two writes; what the annotation carries stands for the second while that is missing. */
function withCurrentStatus({ status: _, ...object }: BackupObject): BackupObject {
  const status = currentStatus({ ...object, ...(_ && { status: _ }) })
  const { [statusAnnotation]: __, ...annotations } = object.metadata.annotations ?? {}
  return { ...object, metadata: { ...object.metadata, annotations }, ...(status && { status }) }
}

/** Without what the API server makes: versions, times, owners that another cluster does not know. */
function kept({ metadata, type, data, spec, status }: BackupObject): BackupObject {
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

/** Name of an object's file in a backup. */
export function backupName(plural: BackupKind, { metadata }: KubernetesObject): string {
  return `cluster/${plural}/${metadata.namespace}/${metadata.name}.json`
}
