import type { Clock } from '../../../shared/clock.ts'
import { isMooringError, MooringError } from '../../../shared/errors.ts'
import type { ApplyOptions, Client } from '../../kubernetes/client.ts'
import { isNamespaceEnding } from '../../kubernetes/refusal.ts'
import { fullName } from '../../kubernetes/resource.ts'
import type { IstioObject, ObjectRef } from '../mesh.ts'
import { refOf } from '../objects.ts'
import {
  type ClusterObject,
  type KnownObject,
  knownObject,
  mainBody,
  parseObject,
  refText,
  sameMain,
} from './cluster-object.ts'
import { healthDiffers, statusBody, wantedHealth } from './health-condition.ts'
import { mergePatch } from './merge-patch.ts'
import type { ObjectCache } from './object-cache.ts'
import { fieldManager, holderOf, isOwn } from './ownership.ts'
import { meshTypes } from './resource-types.ts'

/** Writes our objects, and never anybody else's. */
export interface Writer {
  /** Throws `MESH_OBJECT_FOREIGN` when an object of that name is somebody else's. */
  apply(object: IstioObject, signal: AbortSignal): Promise<void>
  /** Does nothing when there is none, or it is somebody else's. */
  remove(ref: ObjectRef, signal: AbortSignal): Promise<void>
}

export interface WriterDeps {
  readonly client: Client
  readonly cache: ObjectCache
  /** Names this installation. */
  readonly owner: string
  readonly clock: Clock
}

/** An object that others write at the same time is looked at anew so often. */
const mostTries = 4

export function createWriter(deps: WriterDeps): Writer {
  const { client, cache, owner, clock } = deps

  async function settle(object: IstioObject, signal: AbortSignal): Promise<void> {
    const ref = refOf(object)
    let known = cache.get(ref) ?? (await read(ref, signal))
    if (known === 'foreign') return
    if (known === undefined) known = await create(object, signal)
    const wanted = wantedHealth(object)
    // Closed before anything else of it changes, opened after.
    if (wanted !== 'True' && healthDiffers(known, wanted)) known = await writeStatus(object, known, signal)
    if (!sameMain(known.object, object)) known = await writeMain(object, known, signal)
    if (object.kind === 'WorkloadEntry' && healthDiffers(known, wanted)) {
      await writeStatus(object, known, signal)
    }
  }

  /** `foreign`: somebody else's, of a kind that need only be there. */
  async function read(ref: ObjectRef, signal: AbortSignal): Promise<KnownObject | 'foreign' | undefined> {
    const found = await client.get<ClusterObject>(meshTypes[ref.kind], ref, { signal })
    if (found !== undefined && isOwn(found.metadata, owner)) return remember(ref, found)
    cache.absent(ref)
    if (found === undefined) return undefined
    if (ref.kind === 'ServiceAccount') return 'foreign'
    throw foreign(ref, found)
  }

  /** Without force, so that what somebody made in this very moment stays as it is. */
  async function create(object: IstioObject, signal: AbortSignal): Promise<KnownObject> {
    const ref = refOf(object)
    const made = await send(object, mainBody(object, owner), { force: false, signal })
    const others = (made.metadata.managedFields ?? []).filter(({ manager }) => manager !== fieldManager)
    if (others.length === 0) return remember(ref, made)
    // It was there after all and said the same: what was added to it is given back.
    const { apiVersion, kind, metadata } = object
    const { name, namespace } = metadata
    const nothing = { apiVersion, kind, metadata: { name, namespace, uid: made.metadata.uid } }
    await send(object, nothing, { force: false, signal })
    throw foreign(ref, made)
  }

  async function writeMain(object: IstioObject, known: KnownObject, signal: AbortSignal) {
    const ref = refOf(object)
    // Tied to the very object that is known to be ours: one that took its place is not forced.
    let written = await send(object, mainBody(object, owner, known.uid), { force: true, signal })
    const patch = object.kind === 'ServiceAccount' ? undefined : mergePatch(written.spec ?? {}, object.spec)
    if (patch !== undefined) {
      // Applying leaves what others added to the spec; an endpoint must be exactly what is known of it.
      const { resourceVersion } = written.metadata
      const body = { metadata: { resourceVersion }, spec: patch }
      written = parseObject(await client.merge(meshTypes[ref.kind], ref, body, { signal }))
    }
    return remember(ref, written)
  }

  async function writeStatus(object: IstioObject, known: KnownObject, signal: AbortSignal) {
    const body = statusBody(object, known, clock.now())
    return remember(refOf(object), await send(object, body, { force: true, subresource: 'status', signal }))
  }

  async function send(object: IstioObject, body: object, options: Omit<ApplyOptions, 'fieldManager'>) {
    const type = meshTypes[object.kind]
    return parseObject(await client.apply(type, body as ClusterObject, { ...options, fieldManager }))
  }

  function remember(ref: ObjectRef, found: ClusterObject): KnownObject {
    const known = knownObject(ref.kind, parseObject(found))
    cache.put(ref, known)
    return known
  }

  async function erase(ref: ObjectRef, signal: AbortSignal): Promise<void> {
    const type = meshTypes[ref.kind]
    let uid = cache.get(ref)?.uid
    if (uid === undefined) {
      const found = await client.get<ClusterObject>(type, ref, { signal })
      if (found === undefined || !isOwn(found.metadata, owner)) return cache.absent(ref)
      uid = remember(ref, found).uid
    }
    await client.remove(type, ref, { uid }, { signal })
    cache.ended(ref)
  }

  /** Again, with what is read anew, when somebody else was faster. */
  async function persist(ref: ObjectRef, attempt: () => Promise<void>, signal: AbortSignal): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await attempt()
      } catch (error) {
        signal.throwIfAborted()
        const wasOld = cache.get(ref) !== undefined
        cache.doubt(ref)
        if (isMooringError(error, 'CONFLICT') && tries < mostTries) continue
        // Gone since it was last seen; when it is its namespace, the next attempt says so too.
        if (isMooringError(error, 'NOT_FOUND') && wasOld && tries < mostTries) continue
        throw explained(error, ref)
      }
    }
  }

  return {
    apply(object, signal) {
      const ref = refOf(object)
      const write = () =>
        persist(ref, () => settle(object, signal), signal).catch((error: unknown) => {
          // What cannot be there is closed: a VM of a namespace that is deleted is to drain all the same.
          if (!isNamespaceEnding(error) || wantedHealth(object) !== 'False') throw error
        })
      return cache.writing(ref, write)
    },
    remove(ref, signal) {
      return cache.writing(ref, () => persist(ref, () => erase(ref, signal), signal))
    },
  }
}

function foreign(ref: ObjectRef, found: ClusterObject): MooringError {
  return new MooringError('MESH_OBJECT_FOREIGN', {
    detail: `${refText(ref)} belongs to ${holderOf(found.metadata)}`,
  })
}

/** A name that is not found while writing can only be the namespace's. */
function explained(error: unknown, ref: ObjectRef): unknown {
  if (isMooringError(error, 'NOT_FOUND')) {
    return new MooringError('MESH_NAMESPACE_MISSING', { detail: refText(ref), cause: error })
  }
  if (isMooringError(error, 'CONFLICT')) {
    return new MooringError('MESH_UNAVAILABLE', {
      detail: `${fullName(meshTypes[ref.kind])} ${ref.namespace}/${ref.name} is changed all the time by somebody else`,
      cause: error,
    })
  }
  return error
}
