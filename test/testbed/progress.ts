/** Tells a person what the testbed is doing and how long it takes. */
export interface Progress {
  /** Announces a step; exactly one of `done` and `failed` ends it. */
  start(label: string): ProgressStep
}

export interface ProgressStep {
  /** What the step is at right now; shown on a terminal only. */
  at(detail: string): void
  done(note?: string): void
  failed(): void
}

export interface ProgressDeps {
  readonly write: (text: string) => void
  /** Whether lines can be redrawn. */
  readonly live: boolean
  readonly columns?: number
  readonly now?: () => number
}

const redrawMs = 200
// CI systems end a job that is silent for minutes, and a person wants to know that it still runs.
const reminderMs = 30_000

/** Progress as one live line on a terminal, and as plain lines elsewhere. */
export function createProgress(deps: ProgressDeps): Progress {
  const now = deps.now ?? (() => performance.now())
  const columns = deps.columns ?? 100
  const line = (text: string) => deps.write(deps.live ? `\r\x1b[2K${text}\n` : `${text}\n`)

  return {
    start(label) {
      const begun = now()
      let detail = ''
      const spent = () => formatDuration(now() - begun)
      const draw = () => {
        const text = `  … ${label} (${spent()})${detail === '' ? '' : `  ${detail}`}`
        deps.write(`\r\x1b[2K${text.slice(0, columns - 1)}`)
      }
      if (deps.live) draw()
      else line(`  … ${label}`)
      const timer = deps.live
        ? setInterval(draw, redrawMs)
        : setInterval(() => line(`  … ${label}: still at it after ${spent()}`), reminderMs)
      // The timer only shows something: it must not keep the process alive.
      timer.unref()
      const end = (mark: string, note = '') => {
        clearInterval(timer)
        line(`  ${mark} ${label} (${spent()})${note === '' ? '' : `  ${note}`}`)
      }
      return {
        at(text) {
          detail = text
        },
        done: (note) => end('✓', note),
        failed: () => end('✗'),
      }
    },
  }
}

/** Says nothing; for tests. */
export const silentProgress: Progress = {
  start: () => ({ at() {}, done() {}, failed() {} }),
}

/** A duration as a person says it: `0.4 s`, `12 s`, `3 min 05 s`. */
export function formatDuration(ms: number): string {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`
}
