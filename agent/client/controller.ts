import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { Bundle } from '../../shared/api/bundle.ts'
import { Challenge, type JoinRequest, JoinResponse, Problem } from '../../shared/api/join.ts'
import { compatibleWire, limits, paths, wireVersion } from '../../shared/api/wire.ts'
import { isErrorCode, isMooringError, MooringError } from '../../shared/errors.ts'
import type { Identity } from '../state.ts'
import type { Credentials, HttpAnswer, HttpRequest, Transport } from './request.ts'
import type { Trust } from './trust.ts'

/** The controller's interface, as an agent uses it; see the sequence in shared/api/wire.ts. */
export interface Controller {
  challenge(signal: AbortSignal): Promise<Challenge>
  join(request: JoinRequest, signal: AbortSignal): Promise<JoinResponse>
  bundle(signal: AbortSignal): Promise<Bundle>
  /** The sidecar archive from byte `from` on. */
  artifact(
    sha256: string,
    options: { readonly from: number; readonly signal: AbortSignal },
  ): AsyncIterable<Uint8Array>
}

export interface ControllerDeps {
  readonly url: URL
  readonly trust: Trust
  readonly transport: Transport
  /** Who this VM is and its key; undefined before the first join. */
  readonly identity: () => { readonly identity: Identity; readonly privateKey: string } | undefined
  /** @defaultValue 15 s */
  readonly timeoutMs?: number
}

type Options = Pick<HttpRequest, 'method' | 'body' | 'headers'> & { readonly asVm: boolean }

/** Speaks to the controller over HTTPS; every answer is bounded and checked. */
export function createController(deps: ControllerDeps): Controller {
  const { url, trust, transport, timeoutMs = 15_000 } = deps

  async function call(path: string, options: Options, signal: AbortSignal): Promise<HttpAnswer> {
    const { asVm, ...rest } = options
    const own = deps.identity()
    const ca = await trust.authorities(own?.identity.controllerCa, signal)
    const credentials: Credentials | undefined =
      asVm && own !== undefined ? { key: own.privateKey, certificate: own.identity.certificate } : undefined
    try {
      const answer = await transport.send({
        url: new URL(path, url),
        ...rest,
        ca,
        ...(credentials && { credentials }),
        timeoutMs,
        signal,
      })
      if (answer.status === 200 || answer.status === 206) return answer
      throw await problemOf(answer)
    } catch (error) {
      if (isMooringError(error, 'CONTROLLER_UNTRUSTED')) trust.distrusted()
      throw error
    }
  }

  const get = async <T extends TSchema>(path: string, schema: T, asVm: boolean, signal: AbortSignal) =>
    checked(schema, await call(path, { method: 'GET', asVm }, signal))

  return {
    async challenge(signal) {
      const challenge = await get(paths.challenge, Challenge, false, signal)
      if (compatibleWire(challenge.wire)) return challenge
      throw new MooringError('WIRE_VERSION_UNSUPPORTED', {
        detail: `the controller speaks version ${challenge.wire}, this agent ${wireVersion}`,
      })
    },
    async join(request, signal) {
      const body = JSON.stringify(request)
      const headers = { 'content-type': 'application/json' }
      return checked(
        JoinResponse,
        await call(paths.join, { method: 'POST', body, headers, asVm: false }, signal),
      )
    },
    bundle: (signal) => get(paths.bundle, Bundle, true, signal),
    async *artifact(sha256, { from, signal }) {
      const headers = from === 0 ? {} : { range: `bytes=${from}-` }
      const answer = await call(paths.sidecar(sha256), { method: 'GET', headers, asVm: true }, signal)
      // A server that does not know ranges sends all of it.
      let skip = answer.status === 206 ? 0 : from
      for await (const part of answer.body) {
        const dropped = Math.min(skip, part.byteLength)
        skip -= dropped
        if (dropped < part.byteLength) yield part.subarray(dropped)
      }
    },
  }
}

async function checked<T extends TSchema>(schema: T, answer: HttpAnswer): Promise<Static<T>> {
  const value = parseJson(await textOf(answer))
  if (Value.Check(schema, value)) return value
  const [fault] = Value.Errors(schema, value)
  throw new MooringError('CONTROLLER_UNREACHABLE', {
    detail: `the controller's answer does not fit: ${fault?.instancePath ?? ''} ${fault?.message ?? ''}`,
  })
}

/** The error that a problem document stands for; a code newer than this agent is told in words. */
async function problemOf(answer: HttpAnswer): Promise<MooringError> {
  const value = parseJson(await textOf(answer))
  const retryAfterSeconds = retryAfter(answer.headers['retry-after'])
  const wait = retryAfterSeconds === undefined ? {} : { retryAfterSeconds }
  if (Value.Check(Problem, value)) {
    const { code, detail, title } = value
    if (isErrorCode(code)) {
      return new MooringError(code, { ...(detail !== undefined && { detail }), ...wait })
    }
    return new MooringError(value.status >= 500 ? 'UNAVAILABLE' : 'REQUEST_INVALID', {
      detail: `${code}: ${detail ?? title}`,
      ...wait,
    })
  }
  return new MooringError('UNAVAILABLE', { detail: `HTTP ${answer.status} without a reason`, ...wait })
}

/** Seconds of a Retry-After header (RFC 9110); the form with a date is not used by controllers. */
function retryAfter(header: string | string[] | undefined): number | undefined {
  const seconds = typeof header === 'string' && /^\d{1,6}$/.test(header) ? Number(header) : undefined
  return seconds
}

async function textOf(answer: HttpAnswer): Promise<string> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of answer.body) {
    length += part.byteLength
    if (length > limits.response) {
      throw new MooringError('CONTROLLER_UNREACHABLE', {
        detail: `the controller's answer is larger than ${limits.response} bytes`,
      })
    }
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
