import { digest } from './digest.ts'
import type { Finding, Tally } from './tally.ts'

/** Where the report goes. A terminal gets a status line and colours, anything else plain lines. */
export interface ReportDeps {
  readonly write: (text: string) => void
  readonly tty: boolean
  readonly colour: boolean
  readonly columns: () => number
  readonly now: () => number
}

export interface Report {
  title(text: string): void
  started(path: string): void
  progress(path: string, open: readonly string[]): void
  ended(path: string, result: Tally): void
  /** Repeats every failure and skip, so that the end of a long report is enough to read. */
  summary(total: Tally): void
  close(): void
}

const stillRunningMs = 30_000

/** Prints what runs, what ended and what failed. */
export function createReport(deps: ReportDeps): Report {
  const { write, tty, now } = deps
  const running = new Map<string, { readonly since: number; doing: string; lastSaid: number }>()
  const paint = (code: number, text: string) => (deps.colour ? `\u001b[${code}m${text}\u001b[0m` : text)
  let done = 0

  const clearStatus = () => {
    if (tty) write('\r\u001b[K')
  }
  const status = () => {
    if (!tty || running.size === 0) return
    const now_ = now()
    const parts = [...running].map(
      ([path, r]) => `${short(path)} ${seconds(now_ - r.since)}${r.doing && ` ${r.doing}`}`,
    )
    write(`\r\u001b[K${paint(2, `${done} done · ${parts.join(' · ')}`.slice(0, deps.columns() - 1))}`)
  }
  const timer = setInterval(() => {
    if (tty) return status()
    for (const [path, r] of running) {
      if (now() - r.lastSaid < stillRunningMs) continue
      r.lastSaid = now()
      write(`   ..  ${path}  ${seconds(now() - r.since)}${r.doing && `  in: ${r.doing}`}\n`)
    }
  }, 1000)
  timer.unref()

  return {
    title(text) {
      clearStatus()
      write(`${paint(1, text)}\n`)
    },
    started(path) {
      running.set(path, { since: now(), doing: '', lastSaid: now() })
      status()
    },
    progress(path, open) {
      const entry = running.get(path)
      if (entry !== undefined) entry.doing = open.join(' > ')
    },
    ended(path, result) {
      const took = seconds(now() - (running.get(path)?.since ?? now()))
      running.delete(path)
      done += 1
      clearStatus()
      const bad = result.failed > 0
      const mark = bad ? paint(31, ' FAIL') : paint(32, '   ok')
      const skipped = result.skipped > 0 ? paint(33, `, ${result.skipped} skipped`) : ''
      const counts = bad ? `${result.failed} failed, ${result.passed} passed` : `${result.passed} passed`
      write(`${mark}  ${path}  ${counts}${skipped}  ${paint(2, took)}\n`)
      for (const failure of result.failures) write(finding(failure))
      status()
    },
    summary(total) {
      clearStatus()
      write('\n')
      if (total.failures.length > 0) {
        write(`${paint(31, 'Failed:')}\n`)
        for (const line of digest(total.failures)) write(`${line}\n`)
      }
      if (total.skips.length > 0) {
        write(`${paint(33, 'Skipped:')}\n`)
        for (const { path, text } of total.skips) write(`   ${path.join(' > ')} (${text})\n`)
      }
    },
    close() {
      clearInterval(timer)
      clearStatus()
    },
  }
}

function finding({ path, text }: Finding): string {
  const body = text.split('\n').map((line) => `          ${line}`.trimEnd())
  return [`       ${path.slice(1).join(' > ') || '(the file)'}`, ...body, ''].join('\n')
}

function short(path: string): string {
  return path.replace(/^test\//, '').replace(/\.test\.ts$/, '')
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
}
