import { mkdir, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { makeAgentImage } from '../../e2e/boot/agent-image.ts'
import { arch } from '../../e2e/boot/agent-package.ts'
import { mustRun } from '../../testbed/command.ts'
import type { Image } from '../../testbed/machines/machine.ts'
import { ensureMachineParts } from '../../testbed/machines/parts.ts'
import type { Member } from '../../world/member.ts'
import { createWorld, type World } from '../../world/world.ts'
import type { BenchDeps } from '../bench.ts'

const sidecarRecipe = resolve(import.meta.dirname, '../../../packaging/image-builder/sidecar.sh')

/** Where boots are measured: a world with one caller, and images that know nothing of it. */
export interface Stage {
  readonly world: World
  readonly caller: Member
  readonly images: {
    /** The sidecar is in the image. */
    readonly baked: Image
    /** The controller has it. */
    readonly bare: Image
  }
}

/** Builds the world, the agent's package and the images. */
export async function createStage(deps: Pick<BenchDeps, 'progress' | 'signal' | 'atEnd'>): Promise<Stage> {
  const { progress, signal } = deps
  const { image: base } = await ensureMachineParts({ progress, signal })
  const world = await createWorld({ name: 'boot', progress, signal })
  deps.atEnd(() => world.close())
  const step = progress.start("an image with the agent's package")
  const bare = await makeAgentImage(world.network, base).catch((error: unknown) => {
    step.failed()
    throw error
  })
  const layer = await sidecarLayer(world)
  step.done()
  const caller = await world.boot('caller', 'clients')
  return { world, caller, images: { bare, baked: { layers: [layer, ...bare.layers] } } }
}

async function sidecarLayer({ network, sidecar }: World): Promise<string> {
  const layer = join(network.tempDir, 'sidecar-layer')
  await mkdir(layer)
  const archive = join(network.tempDir, `sidecar-${sidecar.version}-${arch}.tar.gz`)
  await symlink(sidecar.path, archive)
  await mustRun(sidecarRecipe, ['--root', layer, '--archive', archive], { timeoutMs: 120_000 })
  return layer
}
