import type { Progress, ProgressStep } from '../test/testbed/progress.ts'
import { duration } from './duration.ts'

/** Where the demo is shown: acts of steps, each with its time. Live on a terminal, plain lines elsewhere. */
export interface Stage extends Progress {
  say(...lines: readonly string[]): void
  act(title: string): void
  start(label: string): StageStep
}

export interface StageStep extends ProgressStep {
  /** `result` says what it came to, where that is not what was announced. */
  done(note?: string, result?: StepResult): void
  /** It went another way than promised. */
  broken(note: string, result?: StepResult): void
}

export interface StepResult {
  readonly label?: string
  readonly ms?: number
}

export interface StageDeps {
  readonly write: (text: string) => void
  /** Whether lines can be drawn again. */
  readonly live: boolean
  readonly colour: boolean
  readonly columns: () => number
  readonly now: () => number
}

const redrawMs = 100
// A log that is silent for minutes looks dead, and some systems end it.
const reminderMs = 30_000
const labelWidth = 64

/** A stage on a terminal or in a log. */
export function createStage(deps: StageDeps): Stage {
  const { write, live, now } = deps
  const paint = (code: number, text: string) => (deps.colour ? `\x1b[${code}m${text}\x1b[0m` : text)
  const bold = (text: string) => paint(1, text)
  const dim = (text: string) => paint(2, text)
  const line = (text: string) => write(`${live ? '\r\x1b[2K' : ''}${text}\n`)
  let acts = 0

  function start(label: string): StageStep {
    const begun = now()
    let detail = ''
    const draw = () => {
      const text = `  … ${label}  ${duration(now() - begun)}  ${detail}`
      write(`\r\x1b[2K${dim(text.slice(0, deps.columns() - 1))}`)
    }
    if (live) draw()
    const remind = () =>
      line(`  … ${label}: still at it after ${duration(now() - begun)}  ${detail}`.trimEnd())
    const timer = live ? setInterval(draw, redrawMs) : setInterval(remind, reminderMs)
    // It only shows something: it must not keep the process alive.
    timer.unref()
    const end = (mark: string, note?: string, result: StepResult = {}) => {
      clearInterval(timer)
      const time = duration(result.ms ?? now() - begun)
      line(`  ${mark} ${(result.label ?? label).padEnd(labelWidth)}${dim(time.padStart(9))}`)
      for (const each of note?.split('\n') ?? []) line(`    ${dim(each)}`)
    }
    return {
      at(text) {
        detail = text
      },
      done: (note, result) => end(paint(32, '✓'), note, result),
      broken: (note, result) => end(paint(31, '✗'), note, result),
      failed: () => end(paint(31, '✗')),
    }
  }

  return {
    say: (...lines) => lines.forEach(line),
    act(title) {
      acts++
      line('')
      line(bold(`${acts}  ${title}`))
    },
    start,
  }
}
