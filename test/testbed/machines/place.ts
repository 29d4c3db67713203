import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Network } from '../network/network.ts'
import { TestbedError } from '../testbed-error.ts'
import { maxMachines } from './seed.ts'

/** What a machine of a network has to itself. */
export interface Place {
  /** Unique among those of the network: decides addresses and names. */
  readonly number: number
  readonly dir: string
  /** Of a network namespace and a control group; by its beginning they are found when their owner is gone. */
  readonly namespace: string
}

/** Takes the lowest free number, by making its folder. */
export async function claimPlace(network: Network, name: string): Promise<Place> {
  const all = join(network.tempDir, 'machines')
  await mkdir(all, { recursive: true })
  for (let number = 0; number < maxMachines; number++) {
    const dir = join(all, String(number))
    const made = await mkdir(dir).then(
      () => true,
      () => false,
    )
    if (made) return { number, dir, namespace: `mooring-${network.id}-machine-${number}-${name}` }
  }
  throw new TestbedError('ADDRESS_IN_USE', `${network.id} has ${maxMachines} machines already`)
}
