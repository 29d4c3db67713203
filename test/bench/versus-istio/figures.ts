import type { Figure } from '../figure.ts'
import { median, rounded } from '../percentile.ts'
import type { BySide, Ending, Trial } from './trials.ts'

/** Everything that was measured, as it came. */
export interface VersusSamples {
  readonly boots: BySide<number> & { readonly quickIstio: readonly number[] }
  readonly endings: Readonly<Record<Ending, BySide<Trial>>>
}

/** Requests of all VMs that went so, and the median time until peers dropped one. */
export interface EndingFigures {
  readonly requests: number
  readonly failed: number
  readonly closedMs: number
}

/** What `--json` writes, without the samples; times are medians. */
export type VersusFigures = {
  readonly boot: { readonly istioMs: number; readonly mooringMs: number }
} & Readonly<Record<Ending, Readonly<Record<'istio' | 'mooring', EndingFigures>>>>

/** Sums the samples up. */
export function versusFigures({ boots, endings }: VersusSamples): VersusFigures {
  const both = (trials: BySide<Trial>) => ({ istio: sum(trials.istio), mooring: sum(trials.mooring) })
  return {
    boot: { istioMs: rounded(median(boots.istio)), mooringMs: rounded(median(boots.mooring)) },
    leave: both(endings.leave),
    kill: both(endings.kill),
    powerCut: both(endings.powerCut),
  }
}

function sum(trials: readonly Trial[]): EndingFigures {
  return {
    requests: trials.reduce((all, { load }) => all + load.requests, 0),
    failed: trials.reduce((all, { load }) => all + load.failed, 0),
    closedMs: rounded(median(trials.map(({ closedMs }) => closedMs))),
  }
}

/** The figures beside the goals. */
export function judged(figures: VersusFigures): readonly Figure[] {
  const { boot, leave, kill, powerCut } = figures
  return [
    { name: 'boot to first 200: Istio', value: boot.istioMs, unit: 'ms' },
    { name: 'boot to first 200: Mooring', value: boot.mooringMs, unit: 'ms' },
    { name: 'boot: times faster', value: boot.istioMs / boot.mooringMs, unit: '', goal: { atLeast: 4 } },
    ...rows('leave', leave),
    { name: 'leave: failed with Mooring', value: leave.mooring.failed, unit: '', goal: { atMost: 0 } },
    ...rows('sidecar killed', kill),
    ...rows('power cut', powerCut),
    {
      name: 'power cut: times sooner closed',
      value: powerCut.istio.closedMs / powerCut.mooring.closedMs,
      unit: '',
      goal: { atLeast: 8 },
    },
  ]
}

function rows(
  what: string,
  { istio, mooring }: Record<'istio' | 'mooring', EndingFigures>,
): readonly Figure[] {
  const of = (way: string, { closedMs, failed, requests }: EndingFigures): readonly Figure[] => [
    { name: `${what}: closed to peers, ${way}`, value: closedMs, unit: 'ms' },
    { name: `${what}: failed of ${requests}, ${way}`, value: failed, unit: 'requests' },
  ]
  return [...of('Istio', istio), ...of('Mooring', mooring)]
}
