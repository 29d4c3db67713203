import { buildAgent } from '../../test/world/agent-executable.ts'
import { createWorld, type World, type WorldPart } from '../../test/world/world.ts'
import { acts, meshNote, steps } from '../narration.ts'
import type { Stage, StageStep } from '../stage.ts'

/** Gets everything, then builds the mesh: a network, controller and istiod, two pools. */
export async function meshScene(stage: Stage, signal: AbortSignal): Promise<World> {
  stage.act(acts.mesh)
  await buildAgent({ progress: stage, signal })
  const next: Record<WorldPart, string | undefined> = {
    parts: steps.network,
    network: steps.controller,
    controller: steps.pools,
    pools: undefined,
  }
  let step: StageStep | undefined
  try {
    const world = await createWorld({
      name: 'demo',
      progress: stage,
      signal,
      onBuilt(part) {
        step?.done()
        const label = next[part]
        step = label === undefined ? undefined : stage.start(label)
      },
    })
    stage.say(`    ${meshNote(world.parts.istioVersion, world.controller.operatorUrl)}`)
    return world
  } catch (error) {
    step?.failed()
    throw error
  }
}
