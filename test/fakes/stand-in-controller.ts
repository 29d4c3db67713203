import 'reflect-metadata'
import { createHash, createPublicKey, verify } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import { Value } from 'typebox/value'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Bundle } from '../../shared/api/bundle.ts'
import { JoinRequest, proofText } from '../../shared/api/join.ts'
import { type Down, Up } from '../../shared/api/stream.ts'
import { paths, wireVersion } from '../../shared/api/wire.ts'
import { type ErrorCode, errorCatalogue } from '../../shared/error-catalogue.ts'
import { waitFor } from '../world/waiting.ts'
import { createTestAuthority, type Pair, type TestAuthority, type Validity, validFor } from './authority.ts'

/** What a test may change of the stand-in's conduct, at any time. */
export interface Conduct {
  /** The controller's clock. */
  now: () => number
  /** What becomes of a join: answered, refused with a code, or its answer is lost on the way. */
  join: (request: JoinRequest) => 'answer' | 'lose' | ErrorCode | Promise<'answer' | 'lose' | ErrorCode>
  heartbeatMs: number
  lostAfterMs: number
  /** Whether it leaves pings without an answer. */
  silent: boolean
  /** What it does with a stream that is opened: takes it, refuses it with a code. */
  stream: () => 'take' | ErrorCode
  /** Answers `drain-request` by `drain`, and `left` by `bye`, as a controller does. */
  orderly: boolean
  bundle: Partial<Bundle>
  certificate: Validity
  tokenUntil: () => number
  /** What is served as the sidecar's archive. */
  artifact: Uint8Array | undefined
}

/**
 * A stand-in for the controller, for tests of the agent: it speaks the real wire contract over real TLS, checks
 * what comes with the real schemas, and keeps no state but what it heard. It decides nothing by itself.
 */
export interface FakeController {
  readonly url: string
  readonly authority: TestAuthority
  readonly conduct: Conduct
  /** Every request that came in, in order. */
  readonly requests: readonly { readonly method: string; readonly path: string; readonly range?: string }[]
  readonly joins: readonly JoinRequest[]
  /** Every message that came up, in order, of all streams. */
  readonly heard: readonly Up[]
  /** VMs whose streams are open and were welcomed. */
  readonly open: readonly string[]
  /** How many streams were opened so far. */
  readonly opened: number
  /** Sends into every open stream. */
  send(message: Down | object): void
  /** Closes every open stream. */
  closeStreams(code: number): void
  /** Drops every connection without a word. */
  cut(): void
  listen(): Promise<void>
  /** Stops listening; `listen` takes the same port again. */
  close(): Promise<void>
}

export interface FakeControllerOptions {
  readonly authority?: TestAuthority
  readonly server?: Pair
  /** PEM: what the server shows after its own certificate. @defaultValue the authority's */
  readonly issuers?: string
  /** @defaultValue true */
  readonly listening?: boolean
}

export const workloadToken = 'workload-token-that-nobody-may-read'

export async function createFakeController(options: FakeControllerOptions = {}): Promise<FakeController> {
  const authority = options.authority ?? (await createTestAuthority())
  const server = options.server ?? (await authority.server())
  const requests: { method: string; path: string; range?: string }[] = []
  const joins: JoinRequest[] = []
  const heard: Up[] = []
  const streams = new Map<WebSocket, string>()
  const welcomed = new WeakSet<WebSocket>()
  const connections = new Set<TLSSocket>()
  const nonces = new Set<string>()
  let opened = 0
  let port = 0

  const conduct: Conduct = {
    now: Date.now,
    join: () => 'answer',
    heartbeatMs: 200,
    // A machine that stalls for some seconds loses no stream; who tests a loss sets less.
    lostAfterMs: 60_000,
    silent: false,
    stream: () => 'take',
    orderly: true,
    bundle: {},
    certificate: validFor(24 * 3_600_000),
    tokenUntil: () => Date.now() + 3_600_000,
    artifact: undefined,
  }

  const web = createServer(
    {
      key: server.key,
      cert: `${server.certificate}${options.issuers ?? authority.certificate}`,
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (request, response) => {
      serve(request, response).catch(() => response.destroy())
    },
  )
  web.on('secureConnection', (socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  const sockets = new WebSocketServer({ noServer: true, autoPong: false })
  web.on('upgrade', (request, socket, head) => {
    note(request)
    const vm = vmOf(request)
    const verdict = vm === undefined ? 'UNAUTHENTICATED' : conduct.stream()
    if (verdict !== 'take') {
      const body = JSON.stringify(problem(verdict))
      const { status } = errorCatalogue[verdict]
      socket.end(`HTTP/1.1 ${status} Refused\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
      return
    }
    sockets.handleUpgrade(request, socket, head, (stream) => attach(stream, vm ?? ''))
  })

  function attach(stream: WebSocket, vm: string): void {
    opened += 1
    streams.set(stream, vm)
    stream.on('close', () => streams.delete(stream))
    stream.on('ping', (data) => {
      if (!conduct.silent) stream.pong(data)
    })
    stream.on('message', (data) => {
      const value: unknown = JSON.parse(String(data))
      if (!Value.Check(Up, value)) return stream.close(4400, 'malformed')
      heard.push(value)
      answer(stream, value)
    })
  }

  function answer(stream: WebSocket, message: Up): void {
    const tell = (down: Down) => stream.send(JSON.stringify(down))
    if (message.kind === 'hello') {
      welcomed.add(stream)
      tell({
        kind: 'welcome',
        wire: wireVersion,
        epoch: opened,
        heartbeatMs: conduct.heartbeatMs,
        lostAfterMs: conduct.lostAfterMs,
        bundleRevision: conduct.bundle.revision ?? 'r1',
        now: conduct.now(),
      })
    }
    if (!conduct.orderly) return
    if (message.kind === 'drain-request') {
      const { reason, after } = message
      tell({ kind: 'drain', reason, after, deadlineMs: 2_000, quietMs: 100, lastEndpoint: false })
    }
    if (message.kind === 'left') {
      tell({ kind: 'bye', revoked: false })
      stream.close(1000)
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    note(request)
    const body = await bodyOf(request)
    const path = request.url ?? ''
    if (path === paths.challenge) {
      const nonce = `nonce-${requests.length}-${'0'.repeat(16)}`
      nonces.add(nonce)
      const now = conduct.now()
      return reply(response, 200, { nonce, expiresAt: now + 60_000, now, wire: wireVersion })
    }
    if (path === paths.join) return join(JSON.parse(body), response)
    const vm = vmOf(request)
    if (vm === undefined) return refuse(response, 'UNAUTHENTICATED')
    if (path === paths.bundle) return reply(response, 200, bundleOf(vm))
    if (path.startsWith('/v1/sidecar/') && conduct.artifact !== undefined) {
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
      response.writeHead(from === 0 ? 200 : 206).end(conduct.artifact.subarray(from))
      return
    }
    refuse(response, path.startsWith('/v1/sidecar/') ? 'ARTIFACT_UNAVAILABLE' : 'NOT_FOUND')
  }

  async function join(value: unknown, response: ServerResponse): Promise<void> {
    if (!Value.Check(JoinRequest, value)) return refuse(response, 'REQUEST_INVALID')
    joins.push(value)
    const spki = Buffer.from(new Pkcs10CertificateRequest(value.csr).publicKey.rawData)
    if (!nonces.delete(value.proof.nonce) || !isProven(value, spki)) return refuse(response, 'PROOF_INVALID')
    const verdict = await conduct.join(value)
    if (verdict === 'lose') return void response.socket?.destroy()
    if (verdict !== 'answer') return refuse(response, verdict)
    const vm = vmOfKey(spki)
    reply(response, 200, {
      wire: wireVersion,
      vm,
      certificate: `${await authority.client(value.csr, `spiffe://cluster.local/mooring/vm/${vm}`, conduct.certificate)}${authority.certificate}`,
      controllerCa: authority.certificate,
      bundle: bundleOf(vm, value.pool),
    })
  }

  function note(request: IncomingMessage): void {
    const { method = '', url = '', headers } = request
    requests.push({ method, path: url, ...(headers.range !== undefined && { range: headers.range }) })
  }

  function bundleOf(vm: string, pool = 'servers'): Bundle {
    return {
      revision: 'r1',
      vm,
      pool,
      mesh: {
        trustDomain: 'cluster.local',
        meshId: 'mesh',
        clusterId: 'Kubernetes',
        network: '',
        istiod: { host: 'istiod.istio-system.svc', address: '127.0.0.1', port: 15012 },
        rootCertificates: authority.certificate,
        proxyConfig: {},
        environment: {},
      },
      workload: {
        name: pool,
        namespace: 'default',
        serviceAccount: 'echo',
        address: '127.0.0.1',
        labels: { app: 'echo' },
        ports: [],
        certificateTtlSeconds: 3600,
      },
      capture: {
        enabled: false,
        dns: false,
        excludeInboundPorts: [],
        excludeOutboundPorts: [],
        excludeOutboundCidrs: [],
        excludeInterfaces: [],
        whenSidecarDown: 'open',
      },
      drain: { deadlineSeconds: 2, quietSeconds: 0.1 },
      sidecar: {
        artifacts: (['amd64', 'arm64'] as const).map((arch) => ({
          ...{ version: '1.0.0', arch, size: conduct.artifact?.length ?? 1 },
          sha256: createHash('sha256')
            .update(conduct.artifact ?? '')
            .digest('hex'),
        })),
      },
      ...conduct.bundle,
      token: { value: workloadToken, expiresAt: conduct.tokenUntil() },
    }
  }

  const controller: FakeController = {
    get url() {
      return `https://127.0.0.1:${port}`
    },
    authority,
    conduct,
    requests,
    joins,
    heard,
    get open() {
      return [...streams].filter(([stream]) => welcomed.has(stream)).map(([, vm]) => vm)
    },
    get opened() {
      return opened
    },
    send(message) {
      for (const stream of streams.keys()) stream.send(JSON.stringify(message))
    },
    closeStreams(code) {
      for (const stream of streams.keys()) stream.close(code, 'test')
    },
    cut() {
      for (const socket of connections) socket.destroy()
    },
    async listen() {
      // After a `close`, somebody's outgoing connection may have been given the port for a moment.
      await waitFor(() => once(web.listen(port, '127.0.0.1'), 'listening'), {
        what: `port ${port} to be free`,
      })
      port = (web.address() as AddressInfo).port
    },
    async close() {
      controller.cut()
      if (web.listening) await new Promise((resolve) => web.close(resolve))
    },
  }
  await controller.listen()
  if (options.listening === false) await controller.close()
  return controller
}

/** The id of the VM with this key (SubjectPublicKeyInfo, DER). */
export function vmOfKey(spki: Uint8Array): string {
  return `vm-${createHash('sha256').update(spki).digest('hex').slice(0, 20)}`
}

function isProven({ csr, proof, evidence, pool }: JoinRequest, spki: Buffer): boolean {
  const csrSha256 = createHash('sha256').update(csr).digest('hex')
  const text = proofText({ nonce: proof.nonce, method: evidence.method, pool, csrSha256 })
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  const signature = Buffer.from(proof.signature, 'base64url')
  return verify('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }, signature)
}

function vmOf(request: IncomingMessage): string | undefined {
  const socket = request.socket as TLSSocket
  if (!socket.authorized) return undefined
  return /URI:spiffe:\/\/cluster\.local\/mooring\/vm\/([-a-z0-9]+)/.exec(
    socket.getPeerX509Certificate()?.subjectAltName ?? '',
  )?.[1]
}

function problem(code: ErrorCode): object {
  const { status, title, fix } = errorCatalogue[code]
  return { type: `urn:mooring:${code}`, title, status, code, fix }
}

function refuse(response: ServerResponse, code: ErrorCode): void {
  reply(response, errorCatalogue[code].status || 500, problem(code))
}

function reply(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts).toString('utf8')
}
