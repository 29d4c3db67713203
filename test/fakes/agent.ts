import 'reflect-metadata'
import { createHash, createPrivateKey, type KeyObject, sign, webcrypto } from 'node:crypto'
import { type Agent, request as httpsRequest } from 'node:https'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { WebSocket } from 'ws'
import type { Bundle } from '../../shared/api/bundle.ts'
import {
  type Challenge,
  type Evidence,
  type JoinFacts,
  type JoinRequest,
  type JoinResponse,
  proofText,
} from '../../shared/api/join.ts'
import type { AgentStatus, Down, Up } from '../../shared/api/stream.ts'
import { limits, paths, wireVersion } from '../../shared/api/wire.ts'

/** A key as an agent makes it, with its request. Making one takes about a millisecond. */
export interface AgentKey {
  readonly privateKey: KeyObject
  /** PEM. */
  readonly privatePem: string
  readonly csr: string
}

const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

export async function makeAgentKey(): Promise<AgentKey> {
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=agent',
    keys,
    signingAlgorithm: p256,
  })
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const privatePem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { privateKey, privatePem, csr: request.toString('pem') }
}

export interface Answer<T = unknown> {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** The body as JSON. */
  json(): T
}

/** The problem of a refused call. */
export class AgentRefused extends Error {
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly retryAfter: number | undefined

  constructor(answer: Answer) {
    const { code = '', detail = '' } = (answer.text === '' ? {} : answer.json()) as {
      code?: string
      detail?: string
    }
    super(`HTTP ${answer.status} ${code} ${detail}`)
    this.status = answer.status
    this.code = code
    this.detail = detail
    const seconds = answer.headers['retry-after']
    this.retryAfter = seconds === undefined ? undefined : Number(seconds)
  }
}

export interface FakeAgentOptions {
  readonly url: string
  /** PEM of the controller's authority. */
  readonly ca: string
  readonly pool: string
  /** Join token; without one it can only renew. */
  readonly token?: string
  readonly key?: AgentKey
  /** What it says of itself. The address goes into its one network card. */
  readonly address?: string
  readonly bootId?: string
  readonly facts?: Partial<JoinFacts>
  /** Connections for requests without a client certificate, shared by many agents. */
  readonly connections?: Agent
}

/** A simulated agent that speaks the real protocol over TLS; light enough for hundreds in one process. */
export interface FakeAgent {
  readonly key: AgentKey
  readonly facts: JoinFacts
  /** From the last join. */
  readonly vm: string
  readonly joined: JoinResponse | undefined
  /** The request that `join` would send now, with a fresh challenge. */
  joinRequest(evidence?: Evidence): Promise<JoinRequest>
  /** Throws `AgentRefused`. */
  join(evidence?: Evidence): Promise<JoinResponse>
  renew(): Promise<JoinResponse>
  /** A request with the agent's certificate. */
  call<T = unknown>(
    method: string,
    path: string,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer<T>>
  bundle(): Promise<Bundle>
  /** Opens the stream, says hello and beats until it is closed. Resolves with the welcome. */
  open(status?: Partial<AgentStatus>): Promise<Extract<Down, { kind: 'welcome' }>>
  send(message: Up): void
  status(status: Partial<AgentStatus>): void
  /** Everything received in this stream. */
  readonly received: readonly Down[]
  /** The next message of that kind that was not waited for yet. */
  next<K extends Down['kind']>(kind: K): Promise<Extract<Down, { kind: K }>>
  /** Resolves with the close code of the stream. */
  readonly closed: Promise<number>
  /** Stops beating, and keeps the stream open: a machine that hangs. */
  hang(): void
  /** Ends the stream in order. */
  close(): void
  /** Drops the connection without a word. */
  cut(): void
}

const idle: AgentStatus = { health: 'unknown', conditions: [], bundleRevision: '', sidecarRestarts: 0 }

export async function createFakeAgent(options: FakeAgentOptions): Promise<FakeAgent> {
  const { url, ca, pool } = options
  const key = options.key ?? (await makeAgentKey())
  const facts: JoinFacts = {
    hostname: 'fake',
    arch: 'amd64',
    bootId: options.bootId ?? 'boot-1',
    agentVersion: '0.1.0',
    nics: options.address === undefined ? [] : [{ interface: 'eth0', address: options.address, prefix: 24 }],
    ...options.facts,
  }
  let joined: JoinResponse | undefined
  let socket: WebSocket | undefined
  let received: Down[] = []
  let taken = new Set<Down>()
  const wake: (() => void)[] = []
  let beat: NodeJS.Timeout | undefined
  let current: AgentStatus = idle
  let closed: Promise<number> = Promise.resolve(0)

  const credentials = () => ({ key: key.privatePem, cert: joined?.certificate })
  const anonymous = { ca, ...(options.connections && { agent: options.connections }) }

  async function joinRequest(evidence: Evidence = { method: 'token', token: options.token ?? '' }) {
    const challenge = await send<Challenge>(url, anonymous, 'GET', paths.challenge)
    if (challenge.status !== 200) throw new AgentRefused(challenge)
    return signedJoin({ key, pool, evidence, facts, nonce: challenge.json().nonce })
  }

  async function join(evidence?: Evidence): Promise<JoinResponse> {
    const answer = await send<JoinResponse>(url, anonymous, 'POST', paths.join, await joinRequest(evidence))
    if (answer.status !== 200) throw new AgentRefused(answer)
    joined = answer.json()
    return joined
  }

  function call<T>(method: string, path: string, headers: Readonly<Record<string, string>> = {}) {
    return send<T>(url, { ca, ...credentials() }, method, path, undefined, headers)
  }

  function up(message: Up): void {
    socket?.send(JSON.stringify(message))
  }

  function opened(): Promise<WebSocket> {
    const stream = new WebSocket(`${url.replace('https', 'wss')}${paths.stream}`, {
      ca,
      ...credentials(),
      maxPayload: limits.response,
      perMessageDeflate: false,
    })
    received = []
    taken = new Set()
    stream.on('message', (data) => {
      received.push(JSON.parse(data.toString()) as Down)
      for (const resolve of wake.splice(0)) resolve()
    })
    closed = new Promise((resolve) => {
      stream.on('close', (code) => {
        clearInterval(beat)
        resolve(code)
        for (const wakeUp of wake.splice(0)) wakeUp()
      })
    })
    return new Promise((resolve, reject) => {
      stream.on('open', () => resolve(stream))
      stream.on('error', reject)
      stream.on('unexpected-response', (_request, response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString()
        })
        response.on('end', () =>
          reject(new AgentRefused(answerOf(response.statusCode ?? 0, response.headers, text))),
        )
      })
    })
  }

  async function next<K extends Down['kind']>(kind: K): Promise<Extract<Down, { kind: K }>> {
    for (;;) {
      const found = received.find((message) => message.kind === kind && !taken.has(message))
      if (found !== undefined) {
        taken.add(found)
        return found as Extract<Down, { kind: K }>
      }
      if (socket === undefined || socket.readyState > WebSocket.OPEN) {
        throw new Error(`the stream was closed before ${kind} came`)
      }
      await new Promise<void>((resolve) => wake.push(resolve))
    }
  }

  return {
    key,
    facts,
    get vm() {
      return joined?.vm ?? ''
    },
    get joined() {
      return joined
    },
    joinRequest,
    join,
    renew: () => join({ method: 'renew', vm: joined?.vm ?? '' }),
    call,
    async bundle() {
      const answer = await call<Bundle>('GET', paths.bundle)
      if (answer.status !== 200) throw new AgentRefused(answer)
      return answer.json()
    },
    async open(status = {}) {
      current = { ...idle, bundleRevision: joined?.bundle.revision ?? '', ...status }
      socket = await opened()
      const { agentVersion, bootId } = facts
      up({ kind: 'hello', wire: wireVersion, agentVersion, bootId, status: current })
      const welcome = await next('welcome')
      clearInterval(beat)
      beat = setInterval(() => up({ kind: 'heartbeat' }), welcome.heartbeatMs)
      return welcome
    },
    send: up,
    status(status) {
      current = { ...current, ...status }
      up({ kind: 'status', status: current })
    },
    get received() {
      return received
    },
    next,
    get closed() {
      return closed
    },
    hang: () => clearInterval(beat),
    close: () => socket?.close(1000),
    cut: () => socket?.terminate(),
  }
}

/** A join request that proves its key; `over` replaces what was signed for, to make one that is wrong. */
export function signedJoin(input: {
  readonly key: AgentKey
  readonly pool: string
  readonly evidence: Evidence
  readonly facts: JoinFacts
  readonly nonce: string
}): JoinRequest {
  const { key, pool, evidence, facts, nonce } = input
  const csrSha256 = createHash('sha256').update(key.csr).digest('hex')
  const text = proofText({ nonce, method: evidence.method, pool, csrSha256 })
  const signature = sign('sha256', Buffer.from(text), { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
  return {
    wire: wireVersion,
    pool,
    evidence,
    csr: key.csr,
    proof: { nonce, signature: signature.toString('base64url') },
    facts,
  }
}

interface Connection {
  readonly ca: string
  readonly key?: string
  readonly cert?: string | undefined
  readonly agent?: Agent
}

/** One HTTPS request; `body` is sent as JSON, a string as it is. */
export function send<T = unknown>(
  url: string,
  connection: Connection,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer<T>> {
  const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      `${url}${path}`,
      {
        method,
        agent: connection.agent ?? false,
        allowPartialTrustChain: true,
        ca: connection.ca,
        ...(connection.cert !== undefined && { key: connection.key, cert: connection.cert }),
        headers: {
          ...(payload !== undefined && {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(payload),
          }),
          ...headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          resolve(answerOf(response.statusCode ?? 0, response.headers, Buffer.concat(chunks).toString()))
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(payload)
  })
}

function answerOf<T>(status: number, headers: Answer['headers'], text: string): Answer<T> {
  return { status, headers, text, json: () => JSON.parse(text) as T }
}
