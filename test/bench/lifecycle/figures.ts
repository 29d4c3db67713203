import type { LoadProtocol } from '../../testbed/apps/load-report.ts'
import type { Figure } from '../figure.ts'
import { median, percentile, rounded } from '../percentile.ts'
import type { BootSample } from './boot.ts'
import type { Footprint } from './footprint.ts'
import type { KillSample } from './kill.ts'
import type { LeaveSample } from './leave.ts'
import type { LoadCounts } from './load-counts.ts'

/** Everything that was measured, as it came. */
export interface LifecycleSamples {
  readonly boots: readonly BootSample[]
  readonly floorsMs: readonly number[]
  readonly leaves: { readonly samples: readonly LeaveSample[]; readonly load: LoadCounts }
  readonly kills: { readonly samples: readonly KillSample[]; readonly load: LoadCounts }
  readonly powerCutsMs: readonly number[]
  readonly agent: Footprint
}

/** What `--json` writes, without the samples. */
export interface LifecycleFigures {
  readonly bootMs: { readonly p50: number; readonly p90: number; readonly n: number }
  readonly sidecarFloorMs: { readonly p50: number }
  readonly leave: {
    readonly requests: number
    readonly failed: number
    readonly closedMs: { readonly p50: number; readonly p90: number }
    readonly byProtocol: Readonly<
      Partial<Record<LoadProtocol, { readonly requests: number; readonly failed: number }>>
    >
  }
  /** Times are medians. */
  readonly kill: {
    readonly requests: number
    readonly failed: number
    readonly closedMs: number
    readonly backMs: number
  }
  readonly powerCut: { readonly closedMs: number }
  readonly agent: {
    readonly residentKb: number
    readonly privateKb: number
    readonly startMs: number
    readonly cpuPercent: number
  }
}

/** Sums the samples up. */
export function lifecycleFigures(samples: LifecycleSamples): LifecycleFigures {
  const { boots, floorsMs, leaves, kills, powerCutsMs, agent } = samples
  const bootMs = boots.map((sample) => sample.ms)
  const leaveMs = leaves.samples.map((sample) => sample.closedMs)
  return {
    bootMs: { p50: rounded(median(bootMs)), p90: rounded(percentile(bootMs, 0.9)), n: bootMs.length },
    sidecarFloorMs: { p50: rounded(median(floorsMs)) },
    leave: {
      requests: leaves.load.requests,
      failed: leaves.load.failed,
      closedMs: { p50: rounded(median(leaveMs)), p90: rounded(percentile(leaveMs, 0.9)) },
      byProtocol: byProtocol(leaves.load),
    },
    kill: {
      requests: kills.load.requests,
      failed: kills.load.failed,
      closedMs: rounded(median(kills.samples.map((sample) => sample.closedMs))),
      backMs: rounded(median(kills.samples.map((sample) => sample.backMs))),
    },
    powerCut: { closedMs: rounded(median(powerCutsMs)) },
    agent: {
      residentKb: agent.residentKb,
      // How many pages of the executable are private depends on who else runs it: they are in `residentKb` alone.
      privateKb: agent.privateDirtyKb,
      startMs: rounded(median(agent.startMs), 1),
      cpuPercent: rounded(agent.cpuPercent, 3),
    },
  }
}

function byProtocol(load: LoadCounts): LifecycleFigures['leave']['byProtocol'] {
  return Object.fromEntries(
    Object.entries(load.byProtocol).map(([protocol, { requests, failed }]) => [
      protocol,
      { requests, failed },
    ]),
  )
}

/** The figures beside the goals of the project, which hold for 2 cores at rest. */
export function judged(figures: LifecycleFigures): readonly Figure[] {
  const { bootMs, sidecarFloorMs, leave, kill, powerCut, agent } = figures
  const megabytes = (kb: number) => kb / 1024
  return [
    { name: 'boot to first 200, p50', value: bootMs.p50, unit: 'ms', goal: { atMost: 800 } },
    { name: 'boot to first 200, p90', value: bootMs.p90, unit: 'ms' },
    { name: 'bare sidecar to first 200, p50', value: sidecarFloorMs.p50, unit: 'ms' },
    { name: 'leave: requests', value: leave.requests, unit: 'requests', goal: { atLeast: 10_000 } },
    { name: 'leave: failed requests', value: leave.failed, unit: 'requests', goal: { atMost: 0 } },
    { name: 'leave: closed to peers, p50', value: leave.closedMs.p50, unit: 'ms', goal: { atMost: 500 } },
    { name: 'leave: closed to peers, p90', value: leave.closedMs.p90, unit: 'ms' },
    { name: 'sidecar killed: closed to peers', value: kill.closedMs, unit: 'ms', goal: { atMost: 1000 } },
    { name: 'sidecar killed: serves again', value: kill.backMs, unit: 'ms', goal: { atMost: 2000 } },
    { name: `sidecar killed: failed of ${kill.requests}`, value: kill.failed, unit: 'requests' },
    { name: 'power cut: closed to peers', value: powerCut.closedMs, unit: 'ms', goal: { atMost: 6000 } },
    { name: 'agent idle: resident', value: megabytes(agent.residentKb), unit: 'MB', goal: { atMost: 45 } },
    { name: 'agent idle: private', value: megabytes(agent.privateKb), unit: 'MB', goal: { atMost: 10 } },
    { name: 'agent idle: CPU', value: agent.cpuPercent, unit: '%', goal: { atMost: 0.2 } },
    { name: 'agent: start of the executable', value: agent.startMs, unit: 'ms', goal: { atMost: 100 } },
  ]
}
