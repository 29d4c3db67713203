import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import type { ReadStream, WriteStream } from 'node:tty'
import { MooringError } from '../shared/errors.ts'

/** Where the command line reads and writes. */
export interface Terminal {
  out(text: string): void
  err(text: string): void
  /** A person looks at standard output: live tables and colours make sense. */
  readonly tty: boolean
  readonly colour: boolean
  columns(): number
  rows(): number
  /** All of standard input. */
  readAll(): Promise<string>
  /** Asks on standard error; only where a person can answer, else it throws `CONFIG_INVALID`. */
  confirm(question: string): Promise<boolean>
  /** Asks on standard error for what is not shown; only where a person can answer, else it throws `CONFIG_INVALID`. */
  secret(question: string): Promise<string>
}

export interface TerminalDeps {
  readonly stdin: ReadStream
  readonly stdout: WriteStream
  readonly stderr: WriteStream
  readonly env: Readonly<Record<string, string | undefined>>
}

const longestInput = 1024 * 1024

/** The terminal of this process. Colours follow https://no-color.org. */
export function createTerminal({ stdin, stdout, stderr, env }: TerminalDeps): Terminal {
  const tty = stdout.isTTY === true && env.TERM !== 'dumb'
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    tty,
    colour: tty && (env.NO_COLOR ?? '') === '',
    columns: () => stdout.columns || 80,
    rows: () => stdout.rows || 24,
    async readAll() {
      let text = ''
      for await (const chunk of stdin.setEncoding('utf8')) {
        text += String(chunk)
        if (text.length > longestInput) {
          throw new MooringError('CONFIG_INVALID', { detail: 'standard input is longer than 1 MiB' })
        }
      }
      return text
    },
    async confirm(question) {
      if (stdin.isTTY !== true) {
        throw new MooringError('CONFIG_INVALID', { detail: 'nobody can be asked here; say --yes' })
      }
      const lines = createInterface({ input: stdin, output: stderr })
      try {
        return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim())
      } finally {
        lines.close()
      }
    },
    async secret(question) {
      if (stdin.isTTY !== true) {
        throw new MooringError('CONFIG_INVALID', { detail: 'nobody can be asked here; give a password file' })
      }
      stderr.write(question)
      // The terminal shows nothing of what is written nowhere.
      const muted = new Writable({ write: (_chunk, _encoding, done) => done() })
      const lines = createInterface({ input: stdin, output: muted, terminal: true })
      try {
        return await new Promise<string>((resolve, reject) => {
          lines.once('SIGINT', () =>
            reject(new MooringError('CONFIG_INVALID', { detail: 'no password given' })),
          )
          lines.question('').then(resolve, reject)
        })
      } finally {
        lines.close()
        stderr.write('\n')
      }
    },
  }
}
