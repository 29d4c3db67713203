import { existsSync, readFileSync } from 'node:fs'

/** All that a machine has written to its console; empty before it was switched on. */
export function consoleText(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

/** The last 30 lines of it, for the message of a failure. */
export function consoleEnd(file: string): string {
  return consoleText(file).trimEnd().split('\n').slice(-30).join('\n')
}
