/**
 * What is true of a VM, in the standard form of Kubernetes conditions. Command line, API and page say the
 * same words because they read this catalogue; docs/conditions.md lists exactly these (a test compares).
 */
export const conditionStatuses = ['True', 'False', 'Unknown'] as const
export type ConditionStatus = (typeof conditionStatuses)[number]

interface ConditionEntry {
  readonly title: string
  /** Who finds it out. */
  readonly from: 'agent' | 'controller'
  /** Where False is the cause of a VM that is not ready, the one with the lowest order is the cause to show. */
  readonly order: number
}

export const conditionCatalogue = {
  Admitted: { title: 'The controller accepted its evidence', from: 'controller', order: 1 },
  Connected: { title: 'Its agent holds a stream to a controller', from: 'controller', order: 2 },
  HostFit: { title: 'The machine has what the sidecar needs', from: 'agent', order: 3 },
  IdentityValid: { title: 'Its certificate and workload token are valid', from: 'agent', order: 4 },
  SidecarInstalled: { title: 'The sidecar is installed in the wanted version', from: 'agent', order: 5 },
  FilesWritten: { title: "The sidecar's files are written", from: 'agent', order: 6 },
  SidecarRunning: { title: 'The sidecar runs', from: 'agent', order: 7 },
  SidecarReady: { title: 'Envoy has its configuration and serves', from: 'agent', order: 8 },
  TrafficCaptured: { title: 'Traffic goes through the sidecar', from: 'agent', order: 9 },
  ApplicationHealthy: { title: "The application passes the pool's probe", from: 'agent', order: 10 },
  EntryWritten: { title: 'Its WorkloadEntry says what it should', from: 'controller', order: 11 },
  EndpointOpen: { title: 'Peers may send it new requests', from: 'controller', order: 12 },
  Drained: { title: 'It was drained: no request is open', from: 'agent', order: 13 },
  Ready: { title: 'It is in the mesh and serves', from: 'controller', order: 14 },
} as const satisfies Record<string, ConditionEntry>

export type ConditionType = keyof typeof conditionCatalogue
export const conditionTypes = Object.keys(conditionCatalogue) as ConditionType[]

/** A condition of one VM. `reason` is CamelCase or a code of the error catalogue; `message` is for people. */
export interface Condition {
  readonly type: ConditionType
  readonly status: ConditionStatus
  readonly reason: string
  readonly message: string
  /** Unix milliseconds of the last change of `status`. */
  readonly since: number
}

/** `list` with `condition` put in: `since` moves only when the status changes. */
export function withCondition(
  list: readonly Condition[],
  condition: Omit<Condition, 'since'>,
  now: number,
): readonly Condition[] {
  const old = list.find((c) => c.type === condition.type)
  if (
    old !== undefined &&
    old.status === condition.status &&
    old.reason === condition.reason &&
    old.message === condition.message
  ) {
    return list
  }
  const since = old?.status === condition.status ? old.since : now
  return [...list.filter((c) => c.type !== condition.type), { ...condition, since }].sort(
    (a, b) => conditionCatalogue[a.type].order - conditionCatalogue[b.type].order,
  )
}

/** The condition that explains why the VM is not ready, or undefined when nothing is wrong. */
export function firstFault(list: readonly Condition[]): Condition | undefined {
  return [...list]
    .filter((c) => c.type !== 'Ready' && c.type !== 'Drained' && c.status !== 'True')
    .sort((a, b) => conditionCatalogue[a.type].order - conditionCatalogue[b.type].order)[0]
}
