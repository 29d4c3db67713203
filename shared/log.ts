import { writeSync } from 'node:fs'

/** Fields of a log line. Never a secret: wrap those in `Secret`, which prints as `***`. */
export type LogFields = Readonly<Record<string, unknown>>

/** A logger of JSON lines. Messages are constant strings; what varies goes into fields. */
export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  child(fields: LogFields): Log
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export interface LogOptions {
  readonly level: LogLevel
  /** File descriptor to write to. @defaultValue 2 (standard error) */
  readonly fd?: number
  /** Takes every line instead, without its end. */
  readonly write?: (line: string) => void
  readonly fields?: LogFields
}

// Names under which a secret could travel by mistake. The first defence is `Secret`; this is the second.
const secretNames: ReadonlySet<string> = new Set([
  'token',
  'key',
  'privateKey',
  'password',
  'secret',
  'authorization',
  'evidence',
])
/** The same, inside of a field that is an object. */
const nestedSecretNames: ReadonlySet<string> = new Set(['token', 'authorization'])
const censored = '***'

const busyMs = 10
const busyTries = 50

/**
 * Writes synchronously: the last line before a crash is the one that matters, and rates here are low. What is written
 * is what `pino` would write, which costs an agent 1 MB and brings threads along.
 */
export function createLog(options: LogOptions): Log {
  const { level, fd = 2, write = (line) => writeLine(fd, `${line}\n`), fields } = options
  const least = logLevels.indexOf(level)
  const withFields = (own: LogFields): Log => {
    const at =
      (name: LogLevel) =>
      (message: string, more: LogFields = {}): void => {
        if (logLevels.indexOf(name) >= least) write(textOf(name, { ...own, ...more }, message))
      }
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      child: (more) => withFields({ ...own, ...more }),
    }
  }
  return withFields(fields ?? {})
}

function textOf(level: LogLevel, fields: LogFields, message: string): string {
  const head = { level, time: new Date().toISOString() }
  try {
    return JSON.stringify({ ...head, ...shown(fields, secretNames), ...head, message }, replaced)
  } catch {
    // A field that holds itself, or whose own rendering fails, must not cost the line.
    return JSON.stringify({ ...head, message })
  }
}

/** Fields as they may be seen, and so those inside of them. */
function shown(fields: LogFields, hidden: ReadonlySet<string>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      if (hidden.has(name) && value !== undefined) return [name, censored]
      return [name, hidden === secretNames && isPlain(value) ? shown(value, nestedSecretNames) : value]
    }),
  )
}

function isPlain(value: unknown): value is LogFields {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

/** Errors as their stack, and whole numbers that JSON does not know as text. */
function replaced(_name: string, value: unknown): unknown {
  if (value instanceof Error) return value.stack ?? value.message
  return typeof value === 'bigint' ? String(value) : value
}

/** All of a line; a reader that is slow is waited for, one that is gone is not. */
function writeLine(fd: number, text: string): void {
  let rest = Buffer.from(text)
  for (let tries = 0; rest.length > 0 && tries < busyTries; ) {
    try {
      rest = rest.subarray(writeSync(fd, rest))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) return
      tries += 1
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyMs)
    }
  }
}

/** Drops everything; for tests that do not look at logs. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
}
