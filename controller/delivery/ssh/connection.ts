import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import ssh2, { type ClientChannel, type ConnectConfig } from 'ssh2'
import { errorText, isMooringError, MooringError } from '../../../shared/errors.ts'
import type { Login } from './credentials.ts'

/** What a command of the VM answered. */
export interface CommandResult {
  /** Absent when a signal ended it. */
  readonly code: number | undefined
  readonly stdout: string
  /** Its beginning. */
  readonly stderr: string
}

export interface CommandOptions {
  /** What it reads; the end of it is the end of its input. */
  readonly input?: string | Readable
  readonly limitMs: number
  readonly signal: AbortSignal
}

/** An open, authenticated connection. */
export interface Connection {
  /** Runs a line of the user's shell. Throws `SSH_CUT` when the connection ends before the command. */
  run(line: string, options: CommandOptions): Promise<CommandResult>
  /** A connection from that machine to another one. Throws `SSH_UNREACHABLE`. */
  forward(host: string, port: number): Promise<ClientChannel>
  close(): void
}

export interface ConnectionDeps {
  /** For people. */
  readonly name: string
  readonly host: string
  readonly port: number
  readonly login: Login
  /** Kinds of host key to ask for; undefined for any. */
  readonly kinds: readonly string[] | undefined
  /** Sees the key of the host before anything secret is sent; what it throws ends the connection. */
  readonly judge: (blob: Buffer) => void
  /** Through which it goes, instead of a connection of its own. */
  readonly through?: ClientChannel
  readonly signal: AbortSignal
}

const connectMs = 30_000
const keepAliveMs = 5_000
const mostSilence = 3
const mostOutput = 256 * 1024
const mostErrors = 4 * 1024
/** What ssh2 speaks and is not weak by today's measure; SHA-1 is not among it. */
const allKinds = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
]

/**
 * Opens a connection: the host's key first, then the login. No agent is asked or forwarded, and no file of the
 * controller's user is read. Throws codes of the catalogue.
 */
export async function connect(deps: ConnectionDeps): Promise<Connection> {
  const { name, signal, judge } = deps
  signal.throwIfAborted()
  const client = new ssh2.Client()
  let open = false
  let lost: MooringError | undefined
  let refusal: unknown
  const gone = new AbortController()
  const cut = (cause?: unknown) => {
    lost ??= new MooringError('SSH_CUT', {
      detail: cause === undefined ? name : `${name}: ${errorText(cause)}`,
      cause,
    })
    gone.abort(lost)
  }
  const onAbort = () => client.destroy()
  signal.addEventListener('abort', onAbort, { once: true })
  client.once('close', () => signal.removeEventListener('abort', onAbort))

  await new Promise<void>((resolve, reject) => {
    // Stays for as long as the connection: an error that nobody takes would end this process.
    client.on('error', (error: Error & { level?: string }) => {
      if (open) return cut(error)
      reject(refusal ?? (signal.aborted ? signal.reason : failureOf(error, deps)))
    })
    client.once('close', () => {
      if (open) return cut()
      reject(
        refusal ??
          (signal.aborted
            ? signal.reason
            : new MooringError('SSH_UNREACHABLE', { detail: `${name}: it closed the connection` })),
      )
    })
    client.once('ready', () => {
      open = true
      resolve()
    })
    client.on('keyboard-interactive', (_name, _instructions, _language, prompts, finish) => {
      const { password } = deps.login
      // Anything but the one question for the password is nobody's to answer.
      const isPassword = prompts.length === 1 && prompts[0]?.echo !== true && password !== undefined
      finish(isPassword ? [password.reveal()] : [])
    })
    try {
      client.connect({
        ...loginOf(deps.login),
        ...(deps.through === undefined ? { host: deps.host, port: deps.port } : { sock: deps.through }),
        readyTimeout: connectMs,
        keepaliveInterval: keepAliveMs,
        keepaliveCountMax: mostSilence,
        agentForward: false,
        algorithms: { serverHostKey: [...(deps.kinds ?? allKinds)] as never },
        hostVerifier: (blob: Buffer) => {
          try {
            judge(blob)
            return true
          } catch (error) {
            refusal = error
            return false
          }
        },
      })
    } catch (error) {
      reject(failureOf(error as Error, deps))
    }
  }).catch((error: unknown) => {
    client.destroy()
    throw error
  })

  return {
    async run(line, { input, limitMs, signal: ended }) {
      ended.throwIfAborted()
      if (lost !== undefined) throw lost
      const late = AbortSignal.timeout(limitMs)
      const over = AbortSignal.any([ended, late, gone.signal])
      const channel = await new Promise<ClientChannel>((resolve, reject) => {
        over.addEventListener('abort', () => reject(over.reason), { once: true })
        client.exec(line, (error, opened) => (error === undefined ? resolve(opened) : reject(error)))
      }).catch((error: unknown) => {
        throw reasonOf(error)
      })
      try {
        return await talk(channel, input, over)
      } catch (error) {
        throw reasonOf(error)
      }

      function reasonOf(error: unknown): unknown {
        if (ended.aborted) return ended.reason
        if (lost !== undefined) return lost
        if (late.aborted) {
          return new MooringError('INJECTION_FAILED', {
            detail: `${name}: no answer within ${limitMs / 1000} s`,
          })
        }
        return isMooringError(error)
          ? error
          : new MooringError('SSH_CUT', { detail: `${name}: ${errorText(error)}` })
      }
    },
    forward(host, port) {
      return new Promise((resolve, reject) => {
        const unreachable = (why: string, cause?: unknown) =>
          reject(new MooringError('SSH_UNREACHABLE', { detail: `${host} from ${name}: ${why}`, cause }))
        const late = AbortSignal.timeout(connectMs)
        const over = AbortSignal.any([late, signal, gone.signal])
        const giveUp = () => (late.aborted ? unreachable('it does not answer') : reject(over.reason))
        over.addEventListener('abort', giveUp, { once: true })
        client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
          over.removeEventListener('abort', giveUp)
          if (error === undefined) resolve(channel)
          else unreachable(errorText(error), error)
        })
      })
    },
    close() {
      client.end()
      client.destroy()
    },
  }
}

/** Feeds a command and takes what it says, until it has ended. */
async function talk(
  channel: ClientChannel,
  input: CommandOptions['input'],
  over: AbortSignal,
): Promise<CommandResult> {
  const stdout = collect(channel, mostOutput)
  const stderr = collect(channel.stderr, mostErrors)
  let ending: { readonly code: number | undefined } | undefined
  const fed = new AbortController()
  const closed = new Promise<void>((resolve, reject) => {
    over.addEventListener('abort', () => reject(over.reason), { once: true })
    channel.on('exit', (code: number | null) => {
      ending = { code: code ?? undefined }
    })
    channel.once('close', resolve)
    // What it does not read any more, because it has ended, is not missed.
    channel.on('error', () => {})
  })
  try {
    if (input === undefined || typeof input === 'string') channel.end(input ?? '')
    else pipeline(input, channel, { signal: fed.signal }).catch(() => channel.destroy())
    await closed
  } finally {
    fed.abort()
    channel.destroy()
  }
  if (ending === undefined) throw new MooringError('SSH_CUT', { detail: 'it ended without a word' })
  return { ...ending, stdout: stdout(), stderr: stderr() }
}

/** The beginning of a stream; the rest is read and dropped. */
function collect(stream: Readable, most: number): () => string {
  const parts: Buffer[] = []
  let size = 0
  stream.on('data', (part: Buffer) => {
    if (size < most) parts.push(part.subarray(0, most - size))
    size += part.length
  })
  return () => Buffer.concat(parts).toString('utf8')
}

function loginOf({ user, privateKey, passphrase, password }: Login): ConnectConfig {
  const authHandler = [
    ...(privateKey === undefined ? [] : ['publickey' as const]),
    ...(password === undefined ? [] : ['password' as const, 'keyboard-interactive' as const]),
  ]
  return {
    username: user,
    authHandler,
    ...(privateKey && { privateKey: privateKey.reveal() }),
    ...(passphrase && { passphrase: passphrase.reveal() }),
    ...(password && { password: password.reveal(), tryKeyboard: true }),
  }
}

function failureOf(error: Error & { level?: string }, { name, login, kinds }: ConnectionDeps): MooringError {
  const { level, message } = error
  const because = { cause: error }
  if (level === 'client-authentication') {
    return new MooringError('SSH_LOGIN_REFUSED', { detail: `${name}, as ${login.user}`, ...because })
  }
  if (/no matching host key/i.test(message) && kinds !== undefined) {
    const detail = `${name}: it has no key of the known kind (${kinds.join(', ')})`
    return new MooringError('SSH_HOST_KEY_CHANGED', { detail, ...because })
  }
  if (/parse privateKey|passphrase/i.test(message)) {
    return new MooringError('CREDENTIAL_UNUSABLE', { detail: 'the private key cannot be read', ...because })
  }
  return new MooringError('SSH_UNREACHABLE', { detail: `${name}: ${message}`, ...because })
}
