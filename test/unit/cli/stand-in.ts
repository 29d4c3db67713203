import { generateKeyPairSync } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import type { Test } from 'tap'
import { type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Authority } from '../../../controller/pki/authority.ts'
import { writeTrustFile } from '../../../controller/pki/trust-file.ts'
import {
  AuditRecord,
  DrainCreate,
  Enrol,
  OperatorCreate,
  OperatorCreated,
  OperatorView,
  PoolSpec,
  PoolView,
  TokenCreate,
  TokenCreated,
  TokenView,
  VmExplanation,
  VmView,
} from '../../../shared/api/operator.ts'
import { WhoAmI } from '../../../shared/api/who-am-i.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { ErrorCode } from '../../../shared/error-catalogue.ts'
import { MooringError } from '../../../shared/errors.ts'
import { folderAuthority } from '../../fakes/folder-authority.ts'

/** A request as the stand-in took it. */
export interface Seen {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly authorization: string | undefined
  readonly body: unknown
}

type Reply = unknown | ((response: ServerResponse, request: IncomingMessage) => void)

/** Stands in for a controller: a real HTTPS listener, whose answers the test gives and the schemas check. */
export interface StandIn {
  readonly url: string
  readonly caFile: string
  readonly authority: Authority
  readonly seen: Seen[]
  /** Answers `METHOD /path`: with a value, by a function, or with what is thrown. */
  on(route: string, answer: (seen: Seen) => Reply): void
  /** Cuts every connection that is open. */
  cut(): void
}

interface Contract {
  readonly route: RegExp
  readonly body?: TSchema
  readonly answer?: TSchema
  readonly status?: number
}

/** The routes of `shared/api/wire.ts`. */
const contracts: readonly Contract[] = [
  { route: /^POST \/v1\/enrol$/, body: Enrol, answer: OperatorCreated },
  { route: /^GET \/v1\/whoami$/, answer: WhoAmI },
  { route: /^GET \/v1\/operators$/, answer: Type.Array(OperatorView) },
  { route: /^POST \/v1\/operators$/, body: OperatorCreate, answer: OperatorCreated, status: 201 },
  { route: /^DELETE \/v1\/operators\/[^/]+$/ },
  { route: /^GET \/v1\/pools$/, answer: Type.Array(PoolView) },
  { route: /^GET \/v1\/pools\/[^/]+$/, answer: PoolView },
  { route: /^PUT \/v1\/pools\/[^/]+$/, body: PoolSpec, answer: PoolView },
  { route: /^DELETE \/v1\/pools\/[^/]+$/ },
  { route: /^GET \/v1\/tokens$/, answer: Type.Array(TokenView) },
  { route: /^POST \/v1\/tokens$/, body: TokenCreate, answer: TokenCreated, status: 201 },
  { route: /^DELETE \/v1\/tokens\/[^/]+$/ },
  { route: /^GET \/v1\/vms$/, answer: Type.Array(VmView) },
  { route: /^GET \/v1\/vms\/events$/ },
  { route: /^GET \/v1\/vms\/[^/]+$/, answer: VmView },
  { route: /^GET \/v1\/vms\/[^/]+\/explanation$/, answer: VmExplanation },
  { route: /^POST \/v1\/vms\/[^/]+\/drain$/, body: DrainCreate, answer: VmView, status: 202 },
  { route: /^DELETE \/v1\/vms\/[^/]+$/, answer: VmView, status: 202 },
  { route: /^GET \/v1\/audit$/, answer: Type.Array(AuditRecord) },
]

export interface StandInOptions {
  /** Addresses in its certificate. @defaultValue the one on which it listens */
  readonly addresses?: readonly string[]
  /** Where its authority is kept, below the test's own folder. */
  readonly folder?: string
}

export async function createStandIn(t: Test, options: StandInOptions = {}): Promise<StandIn> {
  const folder = path.join(
    options.folder === undefined ? t.testdir() : t.testdirName,
    options.folder ?? 'authority',
  )
  await mkdir(folder, { recursive: true })
  const authority = await folderAuthority({ folder, clock: systemClock })
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const cert = await authority.signServer({
    names: ['localhost'],
    addresses: options.addresses ?? ['127.0.0.1'],
    spki: keys.publicKey.export({ type: 'spki', format: 'der' }),
    notAfter: Date.now() + 3_600_000,
  })
  const key = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const answers = new Map<string, (seen: Seen) => Reply>()
  const seen: Seen[] = []

  const server = createServer({ key, cert }, (request, response) => {
    void (async () => {
      const url = new URL(request.url ?? '/', 'https://stand-in')
      const route = `${request.method} ${decodeURIComponent(url.pathname)}`
      const contract = contracts.find((one) => one.route.test(route))
      try {
        const one: Seen = {
          method: request.method ?? '',
          path: url.pathname,
          query: Object.fromEntries(url.searchParams),
          authorization: request.headers.authorization,
          body: await readJson(request),
        }
        seen.push(one)
        const answer = answers.get(route)
        if (contract === undefined || answer === undefined)
          throw new MooringError('NOT_FOUND', { detail: route })
        if (contract.body !== undefined && !Value.Check(contract.body, one.body)) {
          throw new MooringError('REQUEST_INVALID', { detail: 'the body does not fit' })
        }
        const reply = answer(one)
        if (typeof reply === 'function') return reply(response, request)
        if (contract.answer === undefined) return response.writeHead(204).end()
        if (!Value.Check(contract.answer, reply)) {
          const [fault] = Value.Errors(contract.answer, reply)
          t.fail(`the test's own answer to ${route} does not fit`, { fault })
        }
        response.writeHead(contract.status ?? 200, { 'content-type': 'application/json; charset=utf-8' })
        response.end(JSON.stringify(reply))
      } catch (error) {
        sendProblem(response, error)
      }
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    caFile: await writeTrustFile(folder, authority.trusted),
    authority,
    seen,
    on: (route, answer) => void answers.set(route, answer),
    cut: () => server.closeAllConnections(),
  }
}

/** A refusal, to be thrown by an answer. */
export function refuse(code: ErrorCode, detail?: string, retryAfterSeconds?: number): never {
  throw new MooringError(code, {
    ...(detail === undefined ? {} : { detail }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  })
}

function sendProblem(response: ServerResponse, error: unknown): void {
  const { code, title, status, detail, fix, retryAfterSeconds } =
    error instanceof MooringError ? error : new MooringError('INTERNAL', { detail: String(error) })
  response.writeHead(status, {
    'content-type': 'application/problem+json',
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
  })
  response.end(
    JSON.stringify({ type: `urn:mooring:error:${code}`, title, status, detail, code, fix, instance: 'r-1' }),
  )
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  return text === '' ? undefined : JSON.parse(text)
}
