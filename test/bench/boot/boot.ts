import { tellStory } from '../../e2e/boot/boot-story.ts'
import type { Bench } from '../bench.ts'
import { bootContainers } from './container-boots.ts'
import { bootEmulated } from './emulated-boot.ts'
import { bootFigures, judged } from './figures.ts'
import { createStage } from './stage.ts'

/** The agent's own share of a boot, phase by phase, on machines with a systemd and a cloud-init of their own. */
export const boot: Bench = {
  name: 'boot',
  about: "the agent's share of the boot of a real machine, phase by phase; about 6 minutes",
  async run(deps) {
    const { n, progress, signal } = deps
    const stage = await createStage(deps)
    const series = async (name: 'baked' | 'fetched') => {
      signal.throwIfAborted()
      const step = progress.start(name === 'baked' ? 'boots' : 'boots with a download')
      const image = name === 'baked' ? stage.images.baked : stage.images.bare
      try {
        const boots = await bootContainers(stage, { name, image }, n, step)
        step.done()
        return boots
      } catch (error) {
        step.failed()
        throw error
      }
    }
    const [baked, fetched] = [await series('baked'), await series('fetched')]
    signal.throwIfAborted()
    const emulated = await bootEmulated(stage, progress)
    const samples = { baked, fetched, emulated }
    const figures = bootFigures(samples)
    return { json: figures, samples, figures: judged(figures), remarks: remarks(tellStory(emulated.story)) }
  },
}

function remarks(story: string): string[] {
  return [
    'Machines are containers with a systemd, a cloud-init and a network of their own, on this kernel; each is new.',
    'Medians of phases do not add up to the median of the whole.',
    `The emulated machine has a kernel of its own, on a processor that is tens of times slower. ${story}.`,
  ]
}
