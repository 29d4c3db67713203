import { agentSeed } from '../../e2e/boot/agent-seed.ts'
import { agentLandmarks, type BootStory, bootStory } from '../../e2e/boot/boot-story.ts'
import { makeAgentDisk } from '../../e2e/boot/emulated-disk.ts'
import { bootToAnswer } from '../../e2e/boot/first-answer.ts'
import { createEmulated } from '../../testbed/machines/emulated.ts'
import type { Progress } from '../../testbed/progress.ts'
import type { MarkName, Marks } from './phases.ts'
import type { Stage } from './stage.ts'

// The words of a story → the points of a boot.
const marks: Readonly<Record<string, MarkName>> = {
  'agent unit': 'unit',
  agent: 'started',
  joined: 'joined',
  files: 'files',
  sidecar: 'sidecar',
  'Envoy ready': 'envoy',
  captured: 'captured',
  'open to peers': 'open',
  'first 200': 'answered',
}

/** Boots one emulated machine, sidecar baked in; milliseconds since power-on. */
export async function bootEmulated(
  { world, caller }: Stage,
  progress: Progress,
): Promise<{ readonly story: BootStory; readonly marks: Marks }> {
  const disk = await makeAgentDisk(world, progress)
  const name = 'emulated'
  const seed = await agentSeed(world, 'servers')
  const vm = await createEmulated({ network: world.network, name, disk, seed, landmarks: agentLandmarks })
  const step = progress.start('a boot on an emulated processor')
  try {
    const story = bootStory(vm, await bootToAnswer(world, caller, vm))
    step.done()
    return { story, marks: marksOfStory(story) }
  } catch (error) {
    step.failed()
    throw error
  } finally {
    await vm.destroy()
  }
}

/** The points of a boot that a story tells of. */
export function marksOfStory({ points }: BootStory): Marks {
  return Object.fromEntries(
    points.flatMap(({ phase, ms }) => (marks[phase] === undefined ? [] : [[marks[phase], ms]])),
  )
}
