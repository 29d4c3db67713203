import { isMooringError } from '../../../shared/errors.ts'
import type { Client } from '../../kubernetes/client.ts'
import type { VmRecord } from '../records.ts'
import type { Write } from '../resource-store.ts'
import { finalized, metadataFor, newMetadata } from './entry.ts'
import type { PoolContent } from './pool-shelf.ts'
import { type RemovalStep, removalSteps } from './removal.ts'
import { removedVmBody, removedVmLabels, removedVmName } from './removed-vm.ts'
import {
  type CustomObject,
  finalizer,
  pools,
  type SecretObject,
  secrets,
  virtualMachines,
} from './resources.ts'
import type { Entry } from './shelf.ts'
import type { Shelves } from './shelves.ts'
import { vmParts } from './vm-codec.ts'

export interface RemoverDeps {
  readonly client: Client
  readonly shelves: Shelves
  /** Of the controller: where its Secrets are. */
  readonly namespace: string
}

/** Takes Pools and VMs out of the cluster, whose objects the controller holds until then. */
export interface Remover {
  /** Removes the object for good; `CONFLICT` when it was changed since. */
  takePool(pool: Entry<PoolContent>): Promise<void>
  takeVm(vm: Entry<VmRecord>): Promise<void>
  /** Writes a VM whose object is gone. */
  putRemoved(vm: string, record: VmRecord): Promise<void>
  /** Does what `removalSteps` asks for; `write` is that of the store. */
  follow(write: (write: Write) => Promise<void>): Promise<void>
}

export function createRemover({ client, shelves, namespace }: RemoverDeps): Remover {
  async function takePool(pool: Entry<PoolContent>): Promise<void> {
    const metadata = finalized(pool, false)
    if (isHeld(pool)) await client.replace<CustomObject>(pools, { metadata, spec: pool.value.fields })
    await client.remove(pools, pool, { uid: pool.uid })
    shelves.poolObjects.removed(pool.uid)
  }

  async function takeVm(vm: Entry<VmRecord>): Promise<void> {
    const only = { uid: vm.uid, ...(!isHeld(vm) && { resourceVersion: vm.version }) }
    const { spec } = vmParts(vm.value)
    if (isHeld(vm)) {
      await client.replace<CustomObject>(virtualMachines, { metadata: finalized(vm, false), spec })
    }
    await client.remove(virtualMachines, vm, only)
    shelves.vmObjects.removed(vm.uid)
  }

  async function putRemoved(vm: string, record: VmRecord): Promise<void> {
    const labels = removedVmLabels(record)
    const old = shelves.removedVms.get(vm)
    const metadata =
      old === undefined ? newMetadata(namespace, removedVmName(vm), labels) : metadataFor(old, labels)
    const object = { metadata, ...removedVmBody(record) }
    const made =
      old === undefined
        ? await client.create<SecretObject>(secrets, object)
        : await client.replace<SecretObject>(secrets, object)
    shelves.secretObjects.changed(made)
  }

  async function carryOut(step: RemovalStep, write: (write: Write) => Promise<void>): Promise<void> {
    switch (step.do) {
      case 'hold-pool': {
        const { pool } = step
        const object = { metadata: finalized(pool, true), spec: pool.value.fields }
        return shelves.poolObjects.changed(await client.replace<CustomObject>(pools, object))
      }
      case 'void-tokens':
        for (const { name, entry } of shelves.list('token')) {
          if (entry.value.pool === step.pool) await write({ remove: 'token', name })
        }
        return
      case 'release-pool':
        return takePool(step.pool)
      case 'release-vm':
        // Before its object goes: in between there would be nothing that refuses its key, or its address.
        await putRemoved(step.vm.name, step.vm.value)
        return takeVm(step.vm)
    }
  }

  return {
    takePool,
    takeVm,
    putRemoved,
    async follow(write) {
      const steps = removalSteps({
        pools: shelves.pools.raw.every(),
        isInForce: ({ uid, name }) => shelves.pools.get(name)?.uid === uid,
        vms: shelves.vms.list(),
      })
      for (const step of steps) {
        await carryOut(step, write).catch((error: unknown) => {
          // Somebody else changed it: the watch will tell.
          if (!isMooringError(error, 'CONFLICT') && !isMooringError(error, 'NOT_FOUND')) throw error
        })
      }
    },
  }
}

function isHeld({ kept }: Entry<unknown>): boolean {
  return kept.finalizers?.includes(finalizer) ?? false
}
