import { fstatSync } from 'node:fs'
import type { SendDatagram } from './datagram.ts'

export interface JournalDeps {
  readonly send: SendDatagram
  /** Fields of every entry, as the VM's id once it is known. */
  readonly context: () => Readonly<Record<string, string | undefined>>
  /** Takes what the journal did not. */
  readonly fallback: (line: string) => void
}

const identifier = 'mooring-agent'
/** Of syslog(3). */
const priorities: Readonly<Record<string, number>> = { debug: 7, info: 6, warn: 4, error: 3, fatal: 2 }
/** Of an entry with 24 such fields nothing is lost to the size of a datagram, which is 200 KiB. */
const longestField = 4 * 1024
const longestMessage = 8 * 1024
const mostFields = 24
const own = new Set(['level', 'time', 'message'])

/**
 * Takes the lines of the log and gives them to the journal, field by field: `journalctl MOORING_CODE=…` finds them.
 * What is secret was made unreadable before, by the log itself.
 */
export function createJournalWriter({ send, context, fallback }: JournalDeps): (line: string) => void {
  return (line) => {
    const fields = parse(line)
    if (fields === undefined || !send(journalEntry({ ...fields, ...context() }))) fallback(line)
  }
}

/**
 * One entry in the journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): every field as its name, the length of
 * the value in eight bytes, little end first, and the value, so that no value can pretend to be another field.
 */
export function journalEntry(line: Readonly<Record<string, unknown>>): Buffer {
  const others = Object.entries(line)
    .filter(([name, value]) => !own.has(name) && value !== undefined)
    .slice(0, mostFields)
    .map(([name, value]): [string, string] => [name, wordsOf(value)])
  const spoken = others.map(
    ([name, value]) => ` ${name}=${/[\s"=]/.test(value) ? JSON.stringify(value) : value}`,
  )
  const message = `${wordsOf(line.message)}${spoken.join('')}`
  return Buffer.concat([
    field('MESSAGE', message, longestMessage),
    field('PRIORITY', String(priorities[wordsOf(line.level)] ?? 6), longestField),
    field('SYSLOG_IDENTIFIER', identifier, longestField),
    ...others.map(([name, value]) => field(`MOORING_${fieldName(name)}`, value, longestField)),
  ])
}

/**
 * Whether the standard error of this process is the journal: JOURNAL_STREAM names device and inode of what systemd
 * gave it, and somebody may have put a file there since (systemd.exec(5)).
 */
export function isJournal(stream: string | undefined, fd = 2): boolean {
  if (stream === undefined) return false
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true })
    return stream === `${dev}:${ino}`
  } catch {
    return false
  }
}

function field(name: string, value: string, most: number): Buffer {
  const bytes = Buffer.from(value).subarray(0, most)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(bytes.length))
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')])
}

/** Names in the journal have capital letters, digits and underscores, and at most 64 of them. */
function fieldName(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .slice(0, 48)
}

function wordsOf(value: unknown): string {
  return (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).slice(0, longestField)
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}
