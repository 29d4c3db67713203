import type { Clock } from '../shared/clock.ts'
import type { ConditionType } from '../shared/conditions.ts'
import { errorText, isMooringError, MooringError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { pick, retryDelay } from './client/retry.ts'
import type { StatusBoard } from './status.ts'
import type { StepNote } from './steps/step.ts'

/** A step with everything it needs: `Step` with its bundle bound, or one that needs none. */
export interface Task {
  readonly name: string
  readonly condition: ConditionType
  check(signal: AbortSignal): Promise<boolean>
  apply(signal: AbortSignal): Promise<void>
  undo?(signal: AbortSignal): Promise<void>
  readonly undoneAfter?: string
  /** What people should know although it is done: what follows goes on in any case. */
  note?(): StepNote | undefined
  /** Longest pause before the next try, ms. */
  readonly retryWithinMs?: number
}

/** Makes the machine as it should be, again and again. */
export interface Converge {
  /** Until `signal` aborts. Rejects only with an error that `fatal` names. */
  run(signal: AbortSignal): Promise<void>
  /** Looks again at once. */
  wake(): void
  /** Takes back, last task first unless a task says otherwise; one that fails does not keep the others. Rejects when any failed. */
  undo(signal: AbortSignal): Promise<void>
}

export interface ConvergeDeps {
  readonly tasks: readonly Task[]
  readonly board: StatusBoard
  readonly clock: Clock
  readonly log: Log
  /** Every task is done. */
  readonly converged: () => void
  /** This task is not, and nothing after it is looked at. */
  readonly broken: (task: Task, error: MooringError) => void
  /** Whether to give up: nothing that this machine does can help. */
  readonly fatal: (error: MooringError) => boolean
  /** How long a machine at rest is left alone; what changes on it by the agent wakes it. @defaultValue 15 s */
  readonly recheckMs?: number
  readonly random?: () => number
}

export function createConverge(deps: ConvergeDeps): Converge {
  const { tasks, board, clock, log, recheckMs = 15_000, random = Math.random } = deps
  let wakeUp = new AbortController()

  async function perform(task: Task, signal: AbortSignal): Promise<MooringError | undefined> {
    try {
      if (!(await task.check(signal))) {
        const startedAt = clock.now()
        await task.apply(signal)
        const isDone = task.note?.()?.status !== 'False'
        if (isDone) log.info('step done', { step: task.name, ms: clock.now() - startedAt })
      }
      return undefined
    } catch (error) {
      signal.throwIfAborted()
      if (isMooringError(error)) return error
      return new MooringError('INTERNAL', { detail: `${task.name}: ${errorText(error)}`, cause: error })
    }
  }

  /** One look at all tasks; ends at the first that fails. */
  async function pass(signal: AbortSignal): Promise<{ task: Task; error: MooringError } | undefined> {
    for (const task of tasks) {
      signal.throwIfAborted()
      const error = await perform(task, signal)
      if (error !== undefined) return { task, error }
      const note = task.note?.()
      board.set(task.condition, note?.status ?? 'True', note?.reason ?? 'Done', note?.message)
    }
    return undefined
  }

  return {
    async run(signal) {
      let failures = 0
      // One step's many failures are no reason to be silent about the first of another.
      const told = new Map<string, number>()
      for (;;) {
        signal.throwIfAborted()
        wakeUp = new AbortController()
        const failed = await pass(signal)
        let delay: number
        if (failed === undefined) {
          failures = 0
          told.clear()
          delay = recheckMs
          deps.converged()
        } else {
          const { task, error } = failed
          failures += 1
          board.set(task.condition, 'False', error.code, error.detail ?? error.title)
          deps.broken(task, error)
          if (deps.fatal(error)) throw error
          const pause = pick(retryDelay(error, failures), random())
          delay = Math.min(pause, task.retryWithinMs ?? pause)
          const fields = { step: task.name, code: error.code, detail: error.detail, failures, retryMs: delay }
          const what = `${task.name} ${error.code}`
          const times = (told.get(what) ?? 0) + 1
          told.set(what, times)
          if (times <= 3) log.warn('step failed', fields)
          else log.debug('step failed again', fields)
        }
        await clock
          .sleep(delay, AbortSignal.any([signal, wakeUp.signal]))
          .catch(() => signal.throwIfAborted())
      }
    },
    wake: () => wakeUp.abort(),
    async undo(signal) {
      const failures: unknown[] = []
      for (const task of undoOrder(tasks)) {
        if (task.undo === undefined) continue
        try {
          await task.undo(signal)
          board.set(task.condition, 'False', 'Undone')
        } catch (error) {
          log.error('step cannot be taken back', { step: task.name, error: errorText(error) })
          failures.push(error)
        }
      }
      if (failures.length > 0) throw failures[0]
    },
  }
}

function undoOrder(tasks: readonly Task[]): readonly Task[] {
  const order = tasks.toReversed()
  for (const task of tasks) {
    if (task.undoneAfter === undefined) continue
    order.splice(order.indexOf(task), 1)
    order.splice(order.findIndex(({ name }) => name === task.undoneAfter) + 1, 0, task)
  }
  return order
}
