import { pino } from 'pino'

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
const redact = {
  paths: [
    'token',
    'key',
    'privateKey',
    'password',
    'secret',
    'authorization',
    'evidence',
    '*.token',
    '*.authorization',
  ],
  censor: '***',
}

/** Writes synchronously: the last line before a crash is the one that matters, and rates here are low. */
export function createLog(options: LogOptions): Log {
  const target = pino(
    {
      level: options.level,
      base: { ...options.fields },
      redact,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
    },
    options.write === undefined
      ? pino.destination({ dest: options.fd ?? 2, sync: true })
      : { write: (line: string) => options.write?.(line.trimEnd()) },
  )
  return wrap(target)
}

interface Sink {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: object): Sink
}

function wrap(sink: Sink): Log {
  return {
    debug: (message, fields = {}) => sink.debug(fields, message),
    info: (message, fields = {}) => sink.info(fields, message),
    warn: (message, fields = {}) => sink.warn(fields, message),
    error: (message, fields = {}) => sink.error(fields, message),
    child: (fields) => wrap(sink.child(fields)),
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
