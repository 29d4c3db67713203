import type { ProgressStep } from '../../testbed/progress.ts'
import { failuresOf } from '../../world/load.ts'
import type { Bench } from '../bench.ts'
import { median, rounded } from '../percentile.ts'
import { judged, type VersusSamples, versusFigures } from './figures.ts'
import { createStage } from './stage.ts'
import { addStayers, measureBoots, measureEndings } from './trials.ts'

/** Mooring beside Istio's auto-registration, in the same VMs of the same cluster. */
export const versusIstio: Bench = {
  name: 'versus-istio',
  about: "boots, leaves, kills and power cuts, beside Istio's own auto-registration; about 20 minutes",
  async run(deps) {
    const { n, progress, signal } = deps
    const stage = await createStage(deps)
    const phase = async <T>(label: string, work: (step: ProgressStep) => Promise<T>): Promise<T> => {
      signal.throwIfAborted()
      const step = progress.start(label)
      try {
        const result = await work(step)
        step.done()
        return result
      } catch (error) {
        step.failed()
        throw error
      }
    }
    const boots = await phase('boots', (step) => measureBoots(stage, n, step))
    await phase('VMs that stay', (step) => addStayers(stage, step))
    const leave = await phase('leaves under load', (step) => measureEndings(stage, 'leave', n, step))
    const kill = await phase('kills of the sidecar under load', (step) =>
      measureEndings(stage, 'kill', n, step),
    )
    const powerCut = await phase('power cuts under load', (step) =>
      measureEndings(stage, 'powerCut', n, step),
    )
    const samples: VersusSamples = { boots, endings: { leave, kill, powerCut } }
    const figures = versusFigures(samples)
    return { json: figures, samples, figures: judged(figures), remarks: remarks(samples) }
  },
}

function remarks({ boots, endings }: VersusSamples): readonly string[] {
  const failed = endings.leave.mooring.filter(({ load }) => load.failed > 0)
  return [
    'Both ways have the same VM, application, mesh and load, one after the other; retries are switched off, and both probe the application every second.',
    "Istio's files were made by istioctl before the boot that counts; its boot is that of istio-start.sh: traffic rules, then pilot-agent. Mooring's is that of the agent, its join included.",
    `pilot-agent asks for its cloud's metadata when it starts, and here nobody answers: with CLOUD_PLATFORM=none Istio boots in ${rounded(median(boots.quickIstio))} ms.`,
    "A VM of Istio's whose sidecar is killed is not started again here; its unit would do so after 10 s. Mooring's agent does so at once.",
    ...failed.map(({ load }) => `Failed while Mooring left:\n${failuresOf(load)}`),
  ]
}
