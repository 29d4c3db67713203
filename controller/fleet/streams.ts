import { randomBytes, timingSafeEqual } from 'node:crypto'
import { closeCodes, type Down, type Up } from '../../shared/api/stream.ts'
import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import type { Metrics } from '../metrics.ts'
import type { DesiredDrain } from '../store/records.ts'
import { createAlarms } from './alarms.ts'
import type { Listening } from './listening.ts'
import { type SessionFacts, said, told, type Urgency } from './session.ts'
import type { Takeover } from './takeover.ts'
import { parseUp } from './up-message.ts'

/** One WebSocket, as little of it as is needed. */
export interface StreamSocket {
  send(text: string): void
  close(code: number, reason: string): void
  /** Drops the connection without a word. */
  terminate(): void
  onMessage(listener: (text: string) => void): void
  onClose(listener: () => void): void
}

/** Who is at the other end: proven by its certificate. */
export interface StreamPeer {
  readonly vm: string
  readonly keyThumbprint: string
  readonly address: string
  /** When the certificate ends, and with it what it proves; Unix milliseconds. */
  readonly certificateUntil: number
}

/** The agents' streams. One per VM counts: the newest that said hello. */
export interface Streams {
  attach(socket: StreamSocket, peer: StreamPeer): void
  session(vm: string): SessionFacts | undefined
  /** Whether the open stream of the VM has this name. */
  isNamed(vm: string, name: string): boolean
  /** Sends into the stream that `session` describes; into no newer one, and into none that is closed. */
  send(vm: string, session: SessionFacts, message: Down, drain?: DesiredDrain): boolean
  /** Ends a stream that does not speak for this VM, and forgets what was said in it. */
  reject(vm: string): void
  /** Another replica has the VM's stream: what is left of one here ends, and is forgotten. */
  release(vm: string): void
  /** Says that the entry is gone, ends the stream and forgets all that was said in it. */
  farewell(vm: string, revoked: boolean): void
  /** How many streams are open. */
  readonly open: number
  close(): void
}

export interface StreamsDeps {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** Something came from this VM. */
  readonly heard: (vm: string) => void
  readonly listening: Listening
  /** Whether a new stream may take the place of one that is open. */
  readonly takeover: Takeover
  /** What a VM said or the state of its stream changed. */
  readonly changed: (vm: string, urgency: Urgency) => void
}

// An agent that says nothing holds a place for no longer than this, of the time in which it is listened to.
const helloWithinMs = 15_000
// Messages in a burst, and per second in the long run: heartbeats of the shortest allowed period fit well.
const burst = 120
const perSecond = 30

interface Stream {
  readonly id: string
  readonly socket: StreamSocket
  readonly peer: StreamPeer
  readonly hello: AbortController
  facts: SessionFacts | undefined
  isClosed: boolean
  tokens: number
  refilledAt: number
}

export function createStreams(deps: StreamsDeps): Streams {
  const { clock, log, metrics, heard, changed, takeover, listening } = deps
  /** The stream that speaks for each VM, or the last that did. */
  const current = new Map<string, Stream>()
  const attached = new Map<string, Stream>()
  // The agent comes back at once with the certificate that it renewed long ago, or has to join anew.
  const ends = createAlarms({
    clock,
    ring: (id) => {
      const stream = attached.get(id)
      if (stream !== undefined) end(stream, closeCodes.busy, 'the certificate has ended')
    },
  })
  let count = 0

  function attach(socket: StreamSocket, peer: StreamPeer): void {
    count += 1
    const stream: Stream = {
      id: String(count),
      socket,
      peer,
      hello: new AbortController(),
      facts: undefined,
      isClosed: false,
      tokens: burst,
      refilledAt: clock.now(),
    }
    attached.set(stream.id, stream)
    ends.set(stream.id, peer.certificateUntil)
    socket.onMessage((text) => {
      if (!stream.isClosed) receive(stream, text)
    })
    socket.onClose(() => ended(stream))
    awaitHello(stream).catch(() => {})
  }

  /** Ends a stream that says nothing. Not as a breach: on a machine that is short of time, nobody is to blame. */
  async function awaitHello(stream: Stream): Promise<void> {
    const since = clock.now()
    for (let leftMs = helloWithinMs; leftMs > 0; leftMs = helloWithinMs - listening.since(since)) {
      await clock.sleep(leftMs, stream.hello.signal)
    }
    end(stream, closeCodes.busy, 'no hello')
  }

  function receive(stream: Stream, text: string): void {
    if (!takeToken(stream)) {
      log.warn('an agent sends too much', { vm: stream.peer.vm, address: stream.peer.address })
      end(stream, closeCodes.busy, 'too many messages')
      return
    }
    const message = parseUp(text)
    if (message === 'invalid') refuse(stream, 'malformed message')
    else if (message === 'incompatible') end(stream, closeCodes.version, 'wire version')
    else if (message !== 'unknown') hear(stream, message)
  }

  function hear(stream: Stream, message: Up): void {
    metrics.count('mooring_stream_messages_total', { kind: message.kind })
    if (message.kind === 'hello') {
      greet(stream, message)
      return
    }
    if (stream.facts === undefined) {
      refuse(stream, 'hello must come first')
      return
    }
    heard(stream.peer.vm)
    const { facts, urgency } = said(stream.facts, message)
    stream.facts = facts
    if (urgency !== undefined) changed(stream.peer.vm, urgency)
  }

  function greet(stream: Stream, hello: Extract<Up, { kind: 'hello' }>): void {
    if (stream.facts !== undefined) {
      refuse(stream, 'a second hello')
      return
    }
    const { vm, keyThumbprint } = stream.peer
    const { agentVersion, bootId, status } = hello
    const old = current.get(vm)
    const isOpen = old?.facts !== undefined && !old.isClosed
    const oldEnd = isOpen ? { address: old.peer.address, bootId: old.facts?.bootId ?? '' } : undefined
    const judgement = takeover.judge(vm, oldEnd, { address: stream.peer.address, bootId })
    if (judgement !== 'same') {
      if (judgement === 'wait') end(stream, closeCodes.busy, 'another stream of this VM is alive')
      else end(stream, closeCodes.replaced, 'another machine has this identity')
      return
    }
    stream.hello.abort()
    stream.facts = {
      ...{ state: 'greeting', epoch: 0, keyThumbprint, agentVersion, bootId, status, left: false },
      name: randomBytes(24).toString('base64url'),
    }
    // From here on the old one is not listened to; its end is no event.
    current.set(vm, stream)
    if (old !== undefined) end(old, closeCodes.replaced, 'a newer stream took over')
    heard(vm)
    changed(vm, 'now')
  }

  function refuse(stream: Stream, reason: string): void {
    log.warn('an agent broke the protocol', { vm: stream.peer.vm, address: stream.peer.address, reason })
    end(stream, closeCodes.protocol, reason)
  }

  function end(stream: Stream, code: number, reason: string): void {
    if (stream.isClosed) return
    stream.socket.close(code, reason)
    ended(stream)
  }

  function ended(stream: Stream): void {
    if (stream.isClosed) return
    stream.isClosed = true
    stream.hello.abort()
    attached.delete(stream.id)
    ends.clear(stream.id)
    if (stream.facts === undefined || current.get(stream.peer.vm) !== stream) return
    stream.facts = { ...stream.facts, state: 'closed' }
    // Soon, not now: most streams that end are opened again at once, and that is worth no write.
    changed(stream.peer.vm, 'soon')
  }

  function takeToken(stream: Stream): boolean {
    const now = clock.now()
    stream.tokens = Math.min(burst, stream.tokens + ((now - stream.refilledAt) * perSecond) / 1_000)
    stream.refilledAt = now
    stream.tokens -= 1
    return stream.tokens >= 0
  }

  return {
    attach,
    session: (vm) => current.get(vm)?.facts,
    isNamed(vm, name) {
      const stream = current.get(vm)
      if (stream?.facts === undefined || stream.isClosed) return false
      const [known, shown] = [Buffer.from(stream.facts.name), Buffer.from(name)]
      return known.length === shown.length && timingSafeEqual(known, shown)
    },
    send(vm, session, message, drain) {
      const stream = current.get(vm)
      if (stream === undefined || stream.isClosed || stream.facts?.state !== session.state) return false
      if (session.epoch !== stream.facts.epoch) return false
      stream.facts = told(stream.facts, message, drain)
      stream.socket.send(JSON.stringify(message))
      return true
    },
    reject(vm) {
      const stream = current.get(vm)
      current.delete(vm)
      if (stream !== undefined) end(stream, closeCodes.revoked, 'not the key of this VM')
    },
    release(vm) {
      const stream = current.get(vm)
      current.delete(vm)
      // Mostly nobody is there any more; one that is comes back at once, and is heard by who hears it then.
      if (stream !== undefined) end(stream, closeCodes.busy, 'another replica has this VM')
    },
    farewell(vm, revoked) {
      const stream = current.get(vm)
      if (stream === undefined) return
      // First: what it said belongs to a life that is over, also when it joins anew this instant.
      current.delete(vm)
      if (stream.isClosed) return
      stream.socket.send(JSON.stringify({ kind: 'bye', revoked } satisfies Down))
      if (revoked) end(stream, closeCodes.revoked, 'removed')
      else end(stream, 1000, 'left')
    },
    get open() {
      return attached.size
    },
    close() {
      ends.close()
      for (const stream of [...attached.values()]) end(stream, closeCodes.busy, 'the controller stops')
    },
  }
}
