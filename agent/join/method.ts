import type { Evidence } from '../../shared/api/join.ts'

/** How a VM shows who it is: the agent's half. The controller's half has the same name. */
export interface JoinMethod {
  readonly name: Evidence['method']
  /** What to show; read anew each time. Throws a `MooringError` when there is nothing to show. */
  evidence(signal: AbortSignal): Promise<Evidence>
}
