import { type Readable, Transform } from 'node:stream'
import { MooringError } from '../../../shared/errors.ts'
import type { Secret } from '../../../shared/secret.ts'
import type { InjectedFile } from './agent-files.ts'
import type { CommandResult, Connection } from './connection.ts'
import {
  type Installation,
  judgePlatform,
  type Platform,
  readInstallation,
  readSaid,
} from './machine-facts.ts'
import { commandLine } from './quoting.ts'
import { probeScript, receiveScript, rootScript } from './remote-script.ts'

/** A machine on which one can become root. */
export interface Remote {
  readonly platform: Platform
  look(paths: readonly string[]): Promise<Installation>
  /** How much of each file is there, by digest; `whole` when it was checked. */
  arrived(files: readonly InjectedFile[]): Promise<ReadonlyMap<string, Arrived>>
  /** Sends the rest of a file. Throws `ARTIFACT_DIGEST_MISMATCH`, and then nothing of it is left there. */
  send(file: InjectedFile, offset: number, sent: (bytes: number) => void): Promise<void>
  place(files: readonly InjectedFile[]): Promise<void>
  undo(): Promise<void>
  finish(): Promise<void>
  /** Whether there was something to remove. */
  remove(limitMs: number): Promise<boolean>
}

export interface Arrived {
  readonly bytes: number
  readonly whole: boolean
}

export interface RemoteDeps {
  /** For people. */
  readonly name: string
  readonly connection: Connection
  /** For sudo, where it asks. */
  readonly password: Secret | undefined
  readonly signal: AbortSignal
}

const briefMs = 60_000
/** The agent's unit may take so long to start on a slow machine. */
const startMs = 330_000
/** For the slowest of lines: 115 MB at 64 kB/s. */
const sendMs = 30 * 60_000

/** Looks who and what is there, and becomes root. Throws what stands against the machine. */
export async function openRemote(deps: RemoteDeps): Promise<Remote> {
  const { name, connection, password, signal } = deps
  const brief = { limitMs: briefMs, signal }
  const probed = await connection.run(commandLine(['/bin/sh', '-s']), { ...brief, input: probeScript })
  const platform = judgePlatform(readSaid(probed.stdout), password !== undefined)
  if (platform.root === 'sudo-with-password') {
    const tried = await asRoot(['true'], '', briefMs)
    if (tried.code !== 0) throw new MooringError('SUDO_REFUSED', { detail: `${name}: ${lastWord(tried)}` })
  }

  function asRoot(words: readonly string[], input: string, limitMs: number): Promise<CommandResult> {
    const { line, head } = rootLine(platform, words, password)
    return connection.run(line, { input: head + input, limitMs, signal })
  }

  async function verb(words: readonly string[], limitMs = briefMs) {
    const script = `${rootScript}\nmain "$@" </dev/null\n`
    const result = await asRoot(['/bin/sh', '-s', '--', ...words], script, limitMs)
    if (result.code !== 0) throw failureOf(name, result)
    return readSaid(result.stdout)
  }

  return {
    platform,
    look: async (paths) => readInstallation(await verb(['look', ...paths])),
    async arrived(files) {
      const said = await verb(['arrived', ...files.map(({ sha256 }) => sha256)])
      const arrived = new Map<string, Arrived>()
      for (const line of said.get('arrived') ?? []) {
        const [sha256 = '', bytes = ''] = line.split(' ')
        const size = files.find((one) => one.sha256 === sha256)?.size
        if (size === undefined) continue
        if (bytes === 'whole') arrived.set(sha256, { bytes: size, whole: true })
        else if (/^\d{1,12}$/.test(bytes))
          arrived.set(sha256, { bytes: Math.min(Number(bytes), size), whole: false })
      }
      return arrived
    },
    async send(file, offset, sent) {
      const words = [file.sha256, String(offset), String(file.size)]
      const receive = ['/bin/sh', '-c', receiveScript, 'mooring-receive', ...words]
      const { line, head } = rootLine(platform, receive, password)
      const input = after(head, file.read(offset), (bytes) => sent(offset + bytes))
      const result = await connection.run(line, { input, limitMs: sendMs, signal })
      if (result.code === 0) return
      if (result.code === 65) throw new MooringError('ARTIFACT_DIGEST_MISMATCH', { detail: file.path })
      throw failureOf(name, result)
    },
    async place(files) {
      await verb(['place', ...files.flatMap(({ mode, sha256, path }) => [mode, sha256, path])], startMs)
    },
    undo: async () => void (await verb(['undo'], startMs)),
    finish: async () => void (await verb(['finish'])),
    remove: async (limitMs) => (await verb(['remove'], limitMs)).has('removed'),
  }
}

/** A line that runs as root, and what has to come before its input. */
function rootLine(
  { root }: Platform,
  words: readonly string[],
  password: Secret | undefined,
): { readonly line: string; readonly head: string } {
  if (root === 'is-root') return { line: commandLine(words), head: '' }
  if (root === 'sudo') return { line: commandLine(['sudo', '-n', '--', ...words]), head: '' }
  // -k: it asks also where it asked a moment ago, so that the password is never read by the command.
  const sudo = ['sudo', '-k', '-S', '-p', '', '--']
  return { line: commandLine([...sudo, ...words]), head: `${password?.reveal() ?? ''}\n` }
}

/** `head`, then `input`; tells how much of the latter has gone. */
function after(head: string, input: Readable, sent: (bytes: number) => void): Readable {
  let bytes = 0
  const through = new Transform({
    transform(part: Buffer, _encoding, done) {
      bytes += part.length
      sent(bytes)
      done(null, part)
    },
  })
  if (head !== '') through.push(head)
  input.once('error', (error) => through.destroy(error))
  through.once('close', () => input.destroy())
  return input.pipe(through)
}

function failureOf(name: string, result: CommandResult): MooringError {
  if (/No space left on device|Disk quota exceeded/.test(result.stderr)) {
    return new MooringError('DISK_FULL', { detail: `${name}: ${lastWord(result)}` })
  }
  if (/another installation of the agent/.test(result.stderr))
    return new MooringError('AGENT_FOREIGN', { detail: name })
  return new MooringError('INJECTION_FAILED', { detail: `${name}: ${lastWord(result)}` })
}

/** The last line of what went wrong, without what a terminal would take as an order. */
function lastWord({ stderr, code }: CommandResult): string {
  const line = stderr.trim().split('\n').at(-1) ?? ''
  return line.replace(/\p{Cc}/gu, ' ').slice(0, 300) || `it ended with ${code ?? 'a signal'}`
}
