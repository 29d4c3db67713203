import { isDeepStrictEqual } from 'node:util'
import { errorText, isMooringError, MooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import type { Client } from '../../kubernetes/client.ts'
import type { KubernetesObject, ObjectName, ResourceType } from '../../kubernetes/resource.ts'
import type { PoolRecord, VmRecord } from '../records.ts'
import type { Kind, Kinds, Write } from '../resource-store.ts'
import { heldMetadata, metadataFor, newMetadata } from './entry.ts'
import { poolFields, writtenTimes } from './pool-codec.ts'
import type { Remover } from './remover.ts'
import {
  type CustomObject,
  poolLabel,
  pools,
  type SecretObject,
  secrets,
  statusAnnotation,
  virtualMachines,
  writtenAnnotation,
} from './resources.ts'
import { isSecretKind, type SecretKind, secretBody, secretLabels, secretName } from './secret-codec.ts'
import type { Entry } from './shelf.ts'
import type { Intake, Shelves } from './shelves.ts'
import type { TokenWriter } from './token-writer.ts'
import { carriedStatus, vmParts } from './vm-codec.ts'

export interface WriterDeps {
  readonly client: Client
  readonly shelves: Shelves
  readonly tokens: TokenWriter
  readonly remover: Remover
  /** Of the controller: where its Secrets are. */
  readonly namespace: string
  readonly log: Log
}

/** Carries one write out, and takes in what the API server answers; `CONFLICT` when the version does not match. */
export type Writer = (write: Write) => Promise<void>

export function createWriter(deps: WriterDeps): Writer {
  const { client, shelves, tokens, remover, namespace, log } = deps

  async function putVm(name: string, record: VmRecord, old: Entry<VmRecord> | undefined): Promise<void> {
    // One whose object somebody deleted stays out of the cluster's sight.
    if (old === undefined && shelves.removedVms.get(name) !== undefined)
      return remover.putRemoved(name, record)
    const home = shelves.get('pool', record.pool)?.namespace ?? old?.namespace
    if (home === undefined) throw new MooringError('POOL_UNKNOWN', { detail: record.pool })
    const { spec, status } = vmParts(record)
    const labels = { [poolLabel]: record.pool }
    if (old !== undefined && old.namespace === home) return changeVm(record, old)
    // Its new pool is in another namespace. A crash in between loses the record; the join that moves it is repeated.
    if (old !== undefined) await remover.takeVm(old)
    const metadata = heldMetadata(home, name, labels, { [statusAnnotation]: carriedStatus(status, 1) })
    const made = await client.create<CustomObject>(virtualMachines, { metadata, spec }, strict)
    shelves.vmObjects.changed(made)
  }

  /**
   * A change of both parts is decided by one write: the status travels with the spec, as an annotation, and is put in
   * its place after that.
   */
  async function changeVm(record: VmRecord, old: Entry<VmRecord>): Promise<void> {
    const before = vmParts(old.value)
    const { spec, status } = vmParts(record)
    const isSameStatus = isDeepStrictEqual(before.status, status)
    if (isDeepStrictEqual(before.spec, spec)) return void (await putStatus(old, spec, status, old.generation))
    const generation = old.generation + 1
    const metadata = metadataFor(
      old,
      { [poolLabel]: record.pool },
      { [statusAnnotation]: carriedStatus(status, generation) },
    )
    const changed = await client.replace<CustomObject>(virtualMachines, { metadata, spec }, strict)
    shelves.vmObjects.changed(changed)
    if (isSameStatus) return
    try {
      const { uid, resourceVersion: version = '' } = changed.metadata
      await putStatus({ ...old, version, uid: uid ?? '' }, spec, status, generation)
    } catch (error) {
      // Readers have it by the annotation.
      log.debug('a status follows later', { vm: old.name, error: errorText(error) })
    }
  }

  async function putStatus(
    old: Entry<VmRecord>,
    spec: object,
    status: object,
    generation: number,
  ): Promise<void> {
    const metadata = { name: old.name, namespace: old.namespace, resourceVersion: old.version }
    const object = { metadata, spec, status: { ...status, observedGeneration: generation } } as CustomObject
    const changed = await client.replace<CustomObject>(virtualMachines, object, {
      ...strict,
      subresource: 'status',
    })
    shelves.vmObjects.changed(changed)
  }

  async function putPool(
    name: string,
    record: PoolRecord,
    old: Entry<PoolRecord> | undefined,
  ): Promise<void> {
    const spec = poolFields(record.spec)
    if (old !== undefined && old.namespace !== record.spec.namespace) {
      throw new MooringError('REQUEST_INVALID', {
        detail: `body/namespace cannot change from ${old.namespace}; delete the pool, and make it anew`,
      })
    }
    const raw = old && [...shelves.pools.raw.every()].find(({ uid }) => uid === old.uid)
    const isSame = raw !== undefined && isDeepStrictEqual(raw.value.fields, spec)
    const generation = old === undefined ? 1 : old.generation + (isSame ? 0 : 1)
    const annotations = { [writtenAnnotation]: writtenTimes(record, generation) }
    const made =
      old === undefined
        ? await client.create<CustomObject>(
            pools,
            { metadata: heldMetadata(record.spec.namespace, name, {}, annotations), spec },
            strict,
          )
        : await client.replace<CustomObject>(
            pools,
            { metadata: metadataFor(old, {}, annotations), spec },
            strict,
          )
    shelves.poolObjects.changed(made)
  }

  async function putSecret<K extends SecretKind>(
    kind: K,
    name: string,
    value: Kinds[K],
    old: Entry<Kinds[K]> | undefined,
  ): Promise<void> {
    const labels = secretLabels(kind, value)
    const body = secretBody(kind, value)
    const made =
      old === undefined
        ? await client.create<SecretObject>(secrets, {
            metadata: newMetadata(namespace, secretName(kind, name), labels),
            ...body,
          })
        : await client.replace<SecretObject>(secrets, { metadata: metadataFor(old, labels), ...body })
    shelves.secretObjects.changed(made)
  }

  async function takeVm(name: string): Promise<void> {
    const [object, removed] = [shelves.vms.get(name), shelves.removedVms.get(name)]
    if (object !== undefined) await remover.takeVm(object)
    if (removed !== undefined) await take(secrets, removed, shelves.secretObjects)
  }

  async function takePool(name: string): Promise<void> {
    const uid = shelves.pools.get(name)?.uid
    const object = [...shelves.pools.raw.every()].find((one) => one.uid === uid)
    if (object !== undefined) await remover.takePool(object)
  }

  async function takeSecret(kind: SecretKind, name: string, old: Entry<unknown> | undefined): Promise<void> {
    if (old !== undefined) await take(secrets, old, shelves.secretObjects)
    // What another replica wrote this instant may not be known here; a Secret's place is known anyhow.
    else await client.remove(secrets, { namespace, name: secretName(kind, name) })
    if (kind === 'token') await tokens.removePages(name)
  }

  async function take<T>(type: ResourceType, old: Entry<unknown>, intake: Intake<T>): Promise<void> {
    const only = { uid: old.uid, resourceVersion: old.version }
    await client.remove(type, old, only)
    intake.removed(old.uid)
  }

  async function remove(kind: Kind, name: string, version: string | undefined): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const old = shelves.get(kind, name)
      if (old === undefined) {
        if (isSecretKind(kind) && version === undefined) await takeSecret(kind, name, undefined)
        return
      }
      if (version !== undefined && version !== old.version) throw conflict(kind, name)
      try {
        // Of a token its own Secret decides, whose version is not that of the whole.
        if (isSecretKind(kind)) return await takeSecret(kind, name, shelves.secrets.get(`${kind}/${name}`))
        if (kind === 'vm') return await takeVm(name)
        return await takePool(name)
      } catch (error) {
        if (!isMooringError(error, 'CONFLICT')) throw error
        await refresh(kind, name)
        // Without a version it is to go, whatever it is by now.
        if (version !== undefined || tries >= 5) throw error
      }
    }
  }

  async function put(write: Extract<Write, { put: Kind }>): Promise<void> {
    const { put: kind, name, version } = write
    const old = shelves.get(kind, name)
    if (old?.version !== version) {
      if (old === undefined) await refresh(kind, name)
      throw conflict(kind, name)
    }
    try {
      if (write.put === 'vm') await putVm(name, write.value, shelves.vms.get(name))
      else if (write.put === 'pool') await putPool(name, write.value, shelves.get('pool', name))
      else if (write.put === 'token') await tokens.put(name, write.value)
      else await putSecret(write.put, name, write.value, shelves.get(write.put, name))
    } catch (error) {
      if (isMooringError(error, 'CONFLICT') || (isMooringError(error, 'NOT_FOUND') && old !== undefined)) {
        await refresh(kind, name, homeOf(write))
        throw conflict(kind, name, error)
      }
      throw error
    }
  }

  function homeOf(write: Extract<Write, { put: Kind }>): string | undefined {
    if (write.put === 'vm') return shelves.get('pool', write.value.pool)?.namespace
    return write.put === 'pool' ? write.value.spec.namespace : namespace
  }

  /** After a conflict the shelf is behind: who repeats the write at once must find what it lost against. */
  async function refresh(kind: Kind, name: string, home?: string): Promise<void> {
    const { type, take } = placeOf(kind)
    const old = shelves.get(kind, name)
    const at: ObjectName | undefined = isSecretKind(kind)
      ? { namespace, name: secretName(kind, name) }
      : (old ?? (home === undefined ? undefined : { namespace: home, name }))
    if (at === undefined) return
    const found = await client.get<KubernetesObject>(type, {
      name: at.name,
      namespace: at.namespace ?? namespace,
    })
    if (found !== undefined) take(found)
    else if (old !== undefined) placeOf(kind).intake.removed(old.uid)
  }

  function placeOf(kind: Kind): {
    type: ResourceType
    intake: Intake<never>
    take: (object: KubernetesObject) => void
  } {
    if (kind === 'vm')
      return { type: virtualMachines, intake: shelves.vmObjects, take: shelves.vmObjects.changed }
    if (kind === 'pool')
      return { type: pools, intake: shelves.poolObjects, take: shelves.poolObjects.changed }
    return { type: secrets, intake: shelves.secretObjects, take: shelves.secretObjects.changed }
  }

  return (write) => ('put' in write ? put(write) : remove(write.remove, write.name, write.version))
}

// A definition that is older than the controller would drop fields in silence.
const strict = { strict: true } as const

function conflict(kind: Kind, name: string, cause?: unknown): MooringError {
  return new MooringError('CONFLICT', { detail: `${kind}/${name}`, cause })
}
