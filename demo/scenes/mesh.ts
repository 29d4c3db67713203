import { buildAgent } from '../../test/world/agent-executable.ts'
import { createChartWorld } from '../../test/world/kubernetes/chart-world.ts'
import { startClientPod } from '../../test/world/kubernetes/client-pod.ts'
import { createWorld, type WorldDeps, type WorldPart } from '../../test/world/world.ts'
import type { MeshKind } from '../command.ts'
import { acts, meshNote, steps } from '../narration.ts'
import type { Stage, StageStep } from '../stage.ts'
import type { Setting } from '../story.ts'

/** Gets everything, then builds the mesh: a network, controller and istiod, two pools. */
export async function meshScene(stage: Stage, mesh: MeshKind, signal: AbortSignal): Promise<Setting> {
  stage.act(acts.mesh[mesh])
  await buildAgent({ progress: stage, signal })
  const next: Record<WorldPart, string | undefined> = {
    parts: steps.network,
    network: steps.controller[mesh],
    controller: steps.pools[mesh],
    pools: undefined,
  }
  let step: StageStep | undefined
  try {
    const deps: WorldDeps = {
      name: 'demo',
      progress: stage,
      signal,
      onBuilt(part) {
        step?.done()
        const label = next[part]
        step = label === undefined ? undefined : stage.start(label)
      },
    }
    const setting = await (mesh === 'kubernetes'
      ? inCluster(deps)
      : createWorld(deps).then((world) => ({ world })))
    const { parts, controller } = setting.world
    stage.say(`    ${meshNote(parts.istioVersion, controller.operatorUrl)}`)
    return setting
  } catch (error) {
    step?.failed()
    throw error
  }
}

/** The client is a pod there. */
async function inCluster(deps: WorldDeps): Promise<Setting> {
  const world = await createChartWorld({ ...deps, clients: null })
  const startPod = () => startClientPod({ ...world, name: 'client', serviceAccount: 'caller' })
  return { world, startPod }
}
