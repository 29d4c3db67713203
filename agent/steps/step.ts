import type { Bundle } from '../../shared/api/bundle.ts'
import type { ConditionType } from '../../shared/conditions.ts'

/** What people should know of a step that is done; `False` when only what is here already could be kept. */
export interface StepNote {
  /** @defaultValue True */
  readonly status?: 'False'
  readonly reason: string
  readonly message: string
}

/**
 * One step of convergence. Boot, restart, repair and upgrade run the same list: what `check` calls done is
 * not applied. Effects of `apply` and `undo` are safe to repeat and to be killed in.
 */
export interface Step {
  readonly name: string
  /** The condition that this step makes true. */
  readonly condition: ConditionType
  /** Whether the machine is already as the bundle says. Cheap: runs every few seconds. */
  check(bundle: Bundle, signal: AbortSignal): Promise<boolean>
  /** Makes it so; throws a `MooringError` that says why it could not. */
  apply(bundle: Bundle, signal: AbortSignal): Promise<void>
  /** Takes it back, on leaving. Steps without lasting effects on the machine have none. */
  undo?(signal: AbortSignal): Promise<void>
  /** Name of an earlier step that is taken back before this one, against the usual order. */
  readonly undoneAfter?: string
  note?(): StepNote | undefined
  /** Longest pause before the next try, ms; for what is found out on this machine alone, and cheaply. */
  readonly retryWithinMs?: number
}
