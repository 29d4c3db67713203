import type { Capture, Drain, Probe, WorkloadPort } from '../../shared/api/bundle.ts'
import type { PoolSpec } from '../../shared/api/operator.ts'

/** A pool with every optional field filled in. The only place where a default of a pool is decided. */
export interface EffectivePool {
  readonly namespace: string
  readonly serviceAccount: string
  readonly labels: Readonly<Record<string, string>>
  readonly locality: string | undefined
  readonly network: string | undefined
  readonly service: { readonly host: string; readonly ports: readonly Required<WorkloadPort>[] } | undefined
  readonly renewWithinSeconds: number
  readonly capture: Capture
  readonly probe: (Probe & Required<Pick<Probe, ProbeTimes>>) | undefined
  readonly drain: Drain
  readonly rollout: {
    readonly maxUnavailable: number | string
    readonly paused: boolean
    readonly readyWithinSeconds: number
  }
  readonly liveness: {
    readonly heartbeatSeconds: number
    readonly lostAfterSeconds: number
    readonly graceSeconds: number
  }
}

type ProbeTimes = 'periodSeconds' | 'timeoutSeconds' | 'failures' | 'successes'

/** What a pool gets where it says nothing; docs/pool.yaml shows the same values. */
export const poolDefaults = {
  renewWithinSeconds: 30 * 86_400,
  // Closed: without its sidecar a VM would serve and call in plain text, past every policy. SSH, metadata
  // and the controller are never captured, so such a VM can still be repaired.
  capture: {
    enabled: true,
    dns: true,
    excludeInboundPorts: [],
    excludeOutboundPorts: [],
    excludeOutboundCidrs: [],
    excludeInterfaces: [],
    whenSidecarDown: 'closed',
  },
  probe: { periodSeconds: 1, timeoutSeconds: 1, failures: 2, successes: 1 },
  // Longer than istiod's longest push delay (10 s), so that peers have heard before open requests are cut.
  drain: { deadlineSeconds: 30, quietSeconds: 1.5 },
  // As a Deployment's progress deadline, but for one VM: a download, a start, and the application's probe.
  rollout: { maxUnavailable: 1, paused: false, readyWithinSeconds: 120 },
  liveness: { heartbeatSeconds: 2, lostAfterSeconds: 5, graceSeconds: 300 },
} as const satisfies {
  renewWithinSeconds: number
  capture: { [K in keyof Capture]: Capture[K] | readonly [] }
  probe: Record<ProbeTimes, number>
  drain: Drain
  rollout: EffectivePool['rollout']
  liveness: EffectivePool['liveness']
}

/** `spec` with all defaults applied. */
export function effectivePool(spec: PoolSpec): EffectivePool {
  const d = poolDefaults
  return {
    namespace: spec.namespace,
    serviceAccount: spec.serviceAccount,
    labels: spec.labels ?? {},
    locality: spec.locality,
    network: spec.address?.network,
    service: spec.service && {
      host: spec.service.host,
      ports: spec.service.ports
        .map((port) => ({ ...port, target: port.target ?? port.number }))
        .sort((a, b) => a.number - b.number),
    },
    renewWithinSeconds: spec.join.renewWithinSeconds ?? d.renewWithinSeconds,
    capture: {
      enabled: spec.capture?.enabled ?? d.capture.enabled,
      dns: spec.capture?.dns ?? d.capture.dns,
      excludeInboundPorts: [...(spec.capture?.excludeInboundPorts ?? d.capture.excludeInboundPorts)],
      excludeOutboundPorts: [...(spec.capture?.excludeOutboundPorts ?? d.capture.excludeOutboundPorts)],
      excludeOutboundCidrs: [...(spec.capture?.excludeOutboundCidrs ?? d.capture.excludeOutboundCidrs)],
      excludeInterfaces: [...(spec.capture?.excludeInterfaces ?? d.capture.excludeInterfaces)],
      whenSidecarDown: spec.capture?.whenSidecarDown ?? d.capture.whenSidecarDown,
    },
    probe: spec.probe && { ...d.probe, ...spec.probe },
    drain: { ...d.drain, ...spec.drain },
    rollout: { ...d.rollout, ...spec.rollout },
    liveness: { ...d.liveness, ...spec.liveness },
  }
}
