import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Seed } from '../../testbed/machines/seed.ts'
import type { World } from '../../world/world.ts'

const example = resolve(import.meta.dirname, '../../../packaging/cloud-init/user-data.yaml')

/** The example for one VM, with this world's controller, its pin, a pool, and a token of its own. */
export async function agentSeed(
  { controller, operator }: Pick<World, 'controller' | 'operator'>,
  pool: string,
): Promise<Seed> {
  const { token } = await operator.createToken(pool)
  const userData = (await readFile(example, 'utf8'))
    .replace(/^( +url: ).*$/m, `$1${controller.url}`)
    .replace(/sha256:0+/, controller.pin)
    .replace(/^( +pool: ).*$/m, `$1${pool}`)
    .replace(/mrt_[\w-]+/, token)
  return { userData }
}
