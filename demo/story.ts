import type { Caller } from '../test/world/caller.ts'
import { watchEndpoints } from '../test/world/watch/peer.ts'
import type { World } from '../test/world/world.ts'
import type { Cast, Notebook } from './cast.ts'
import { writeGuide } from './guide.ts'
import { acts, steps } from './narration.ts'
import { bootScene } from './scenes/boot.ts'
import { powerCutScene } from './scenes/power-cut.ts'
import { scaleInScene } from './scenes/scale-in.ts'
import { trafficScene } from './scenes/traffic.ts'
import type { Stage } from './stage.ts'

/** Where it plays. */
export interface Setting {
  readonly world: World
  /** Where the client is a pod. */
  readonly startPod?: () => Promise<Caller>
}

/** Plays all scenes in a world; the notebook has the figures of those that came to their end. Gives what to try then. */
export async function playStory(
  stage: Stage,
  { world, startPod }: Setting,
  notebook: Notebook,
): Promise<readonly string[]> {
  stage.act(startPod === undefined ? acts.boots : acts.podAndBoots)
  const client = await (startPod === undefined ? clientVm() : clientPod(startPod))
  const cast: Cast = {
    stage,
    world,
    client,
    servers: new Map(),
    endpoints: watchEndpoints(client),
  }
  const boot = async (name: string) => {
    const { member, figures } = await bootScene(cast, { name, pool: 'servers', peer: cast.client })
    cast.servers.set(name, member)
    return { member, figures }
  }

  const first = await boot('server-1')
  notebook.boots = [...notebook.boots, first.figures]
  const second = await boot('server-2')
  notebook.boots = [...notebook.boots, second.figures]

  notebook.traffic = await trafficScene(cast)
  notebook.scaleIn = await scaleInScene(cast, 'server-2')
  stage.act(acts.replacement)
  const third = await boot('server-3')
  notebook.replacement = third.figures
  const { id: withoutPower } = await first.member.view()
  notebook.powerCut = await powerCutScene(cast, 'server-1')
  const call = startPod === undefined ? 'vm' : 'pod'
  return writeGuide(world, { server: third.member, withoutPower, client: call })

  async function clientVm(): Promise<Caller> {
    const { member, figures } = await bootScene({ stage, world }, { name: 'client', pool: 'clients' })
    notebook.boots = [figures]
    return member.vm
  }

  async function clientPod(start: () => Promise<Caller>): Promise<Caller> {
    notebook.client = 'pod'
    const step = stage.start(steps.pod)
    const pod = await start()
    step.done()
    return pod
  }
}
