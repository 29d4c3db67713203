import { Value } from 'typebox/value'
import { Down, type Up } from '../../shared/api/stream.ts'
import { compatibleWire, limits, paths } from '../../shared/api/wire.ts'
import type { Clock } from '../../shared/clock.ts'
import { errorText, isMooringError, type MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Identity } from '../state.ts'
import { afterStream, type StreamEnd } from './reconnect.ts'
import type { OpenSocket, Socket } from './socket.ts'
import type { Trust } from './trust.ts'

/** What the controller said; `welcome` comes first in every connection. */
export type DownMessage = Down

/** The one connection to the controller, opened again whenever it ends. */
export interface Stream {
  /** Keeps the stream open until `signal` aborts, or the controller says that this key is revoked. */
  run(signal: AbortSignal): Promise<'aborted' | 'revoked'>
  /** Sends to a controller that said welcome; false when there is none. */
  send(message: Up): boolean
  readonly connected: boolean
  /** Why there is no stream, for people; undefined while there is one. */
  readonly trouble: string | undefined
  onMessage(listener: (message: DownMessage) => void): () => void
  onChange(listener: () => void): () => void
}

export interface StreamDeps {
  readonly url: URL
  readonly trust: Trust
  readonly open: OpenSocket
  readonly identity: () => { readonly identity: Identity; readonly privateKey: string } | undefined
  readonly hello: () => Extract<Up, { kind: 'hello' }>
  /** The controller does not accept the certificate: gets a new one. */
  readonly renew: (signal: AbortSignal) => Promise<void>
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
}

const handshakeMs = 5_000
/** An open connection must bring its welcome within this time. */
const welcomeMs = 10_000

export function createStream(deps: StreamDeps): Stream {
  const { clock, log, random = Math.random } = deps
  const listeners = new Set<(message: DownMessage) => void>()
  const observers = new Set<() => void>()
  let live: Socket | undefined
  let trouble: string | undefined = 'not connected yet'

  const changed = (next: Socket | undefined, why: string | undefined) => {
    if (live === next && trouble === why) return
    live = next
    trouble = why
    for (const observer of observers) observer()
  }

  /** One connection from its opening to its end. */
  async function connectOnce(signal: AbortSignal): Promise<StreamEnd & { readonly detail?: string }> {
    const own = deps.identity()
    if (own === undefined) return { welcomed: false, closeCode: 1006, error: 'KEY_UNKNOWN' }
    let ca: string
    try {
      ca = await deps.trust.authorities(own.identity.controllerCa, signal)
    } catch (error) {
      signal.throwIfAborted()
      return failed(error)
    }
    const over = new AbortController()
    const stop = AbortSignal.any([signal, over.signal])
    let welcomed = false
    let lastSign = clock.now()
    return new Promise((resolve) => {
      const url = new URL(paths.stream, deps.url)
      url.protocol = 'wss:'
      const credentials = { key: own.privateKey, certificate: own.identity.certificate }
      const socket = deps.open(
        { url, ca, credentials, handshakeMs, now: () => clock.now() },
        {
          open() {
            lastSign = clock.now()
            socket.send(JSON.stringify(deps.hello()))
            clock.sleep(welcomeMs, stop).then(
              () => !welcomed && socket.terminate(),
              () => {},
            )
          },
          message(text) {
            lastSign = clock.now()
            const message = readDown(text)
            if (message === undefined) {
              log.debug('a message of an unknown kind was ignored')
              return
            }
            if (message.kind === 'welcome' && !welcomed) {
              if (!compatibleWire(message.wire)) return socket.terminate()
              welcomed = true
              log.info('stream open', { epoch: message.epoch })
              changed(socket, undefined)
              beat(socket, message, stop).catch(() => {})
            }
            for (const listener of listeners) listener(message)
          },
          pong() {
            lastSign = clock.now()
          },
          closed(closeCode, error) {
            over.abort()
            signal.removeEventListener('abort', onAbort)
            if (error !== undefined && isMooringError(error, 'CONTROLLER_UNTRUSTED')) deps.trust.distrusted()
            const why = error && { error: error.code, detail: error.message }
            resolve({ welcomed, closeCode, ...why })
          },
        },
      )
      const onAbort = () => socket.terminate()
      signal.addEventListener('abort', onAbort, { once: true })
    })

    /** Heartbeats on a fixed beat, and the end of a connection whose other end is silent. */
    async function beat(
      socket: Socket,
      { heartbeatMs, lostAfterMs }: Extract<Down, { kind: 'welcome' }>,
      until: AbortSignal,
    ): Promise<void> {
      let next = clock.now()
      for (;;) {
        next += heartbeatMs
        // What was missed is skipped: after a sleep of the machine one heartbeat is enough.
        if (next <= clock.now()) next = clock.now() + heartbeatMs
        await clock.sleep(next - clock.now(), until)
        if (clock.now() - lastSign > Math.max(lostAfterMs, 2 * heartbeatMs)) {
          log.warn('the controller is silent: the stream is opened anew')
          return socket.terminate()
        }
        socket.send('{"kind":"heartbeat"}')
        socket.ping()
      }
    }
  }

  return {
    async run(signal) {
      let failures = 0
      try {
        for (;;) {
          signal.throwIfAborted()
          const end = await connectOnce(signal)
          failures = end.welcomed ? 0 : failures + 1
          const next = afterStream(end, Math.max(0, failures - 1))
          if (next.kind === 'revoked') {
            changed(undefined, 'the controller does not accept the key of this VM any more')
            return 'revoked'
          }
          const why = end.detail ?? next.why
          changed(undefined, why)
          signal.throwIfAborted()
          const fields = { code: end.closeCode, why, failures }
          if (failures <= 1) log.warn('no stream to the controller', fields)
          else log.debug('still no stream to the controller', fields)
          await clock.sleep(Math.round(next.fromMs + random() * (next.toMs - next.fromMs)), signal)
          if (next.kind === 'renew') await renewed(signal)
        }
      } catch (error) {
        changed(undefined, 'closed')
        if (signal.aborted) return 'aborted'
        if (isMooringError(error, 'KEY_REVOKED')) return 'revoked'
        throw error
      }
    },
    send(message) {
      if (live === undefined) return false
      live.send(JSON.stringify(message))
      return true
    },
    get connected() {
      return live !== undefined
    },
    get trouble() {
      return trouble
    },
    onMessage(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    onChange(listener) {
      observers.add(listener)
      return () => observers.delete(listener)
    },
  }

  async function renewed(signal: AbortSignal): Promise<void> {
    try {
      await deps.renew(signal)
    } catch (error) {
      signal.throwIfAborted()
      if (isMooringError(error, 'KEY_REVOKED')) throw error
      log.warn('the certificate cannot be renewed', { error: errorText(error) })
    }
  }
}

function failed(error: unknown): StreamEnd & { readonly detail?: string } {
  const known: MooringError | undefined = isMooringError(error) ? error : undefined
  return {
    welcomed: false,
    closeCode: 1006,
    ...(known && { error: known.code }),
    detail: errorText(error),
  }
}

/** A message that fits its schema; undefined for kinds of a newer controller and for what cannot be read. */
function readDown(text: string): Down | undefined {
  if (text.length > limits.streamMessage) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return Value.Check(Down, value) ? value : undefined
  } catch {
    return undefined
  }
}
