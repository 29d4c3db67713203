import type { ClientHttp2Stream } from 'node:http2'
import { isIPv6 } from 'node:net'
import { healthCheckPath, healthRequest, servingStatus } from './grpc-health.ts'
import type { ProbeResult } from './judge.ts'

/** As much of an answer is read; a HealthCheckResponse has 2 bytes. */
const maxAnswer = 4096
/** Of the codes of gRPC (google.golang.org/grpc/codes), those that a health check is answered with. */
const refusals: Readonly<Record<string, string>> = {
  '5': 'does not know the service',
  '12': 'has no health service (grpc.health.v1.Health)',
}

const headers = {
  ':method': 'POST',
  ':path': healthCheckPath,
  'content-type': 'application/grpc',
  te: 'trailers',
  'user-agent': 'mooring-agent',
} as const

interface Answer {
  readonly status: number
  /** grpc-status; undefined when there was none. */
  readonly code: string | undefined
  readonly message: Buffer
}

interface Fault {
  readonly fault: string
}

/**
 * Well is what answers SERVING to grpc.health.v1.Health/Check, over HTTP/2 in plain text as kubelet asks it. Rejects
 * with the error of the connection, or with the signal's reason.
 */
export async function probeByGrpc(
  host: string,
  { port, service = '' }: { readonly port: number; readonly service?: string },
  signal: AbortSignal,
): Promise<ProbeResult> {
  const authority = `${isIPv6(host) ? `[${host}]` : host}:${port}`
  const answer = await check(authority, service, signal)
  if ('fault' in answer) return { ok: false, detail: `failed: ${answer.fault}` }
  const { status, code, message } = answer
  if (status !== 200) return { ok: false, detail: `answered ${status} instead of gRPC` }
  if (code !== '0') {
    const words = refusals[code ?? ''] ?? `refused the health check with gRPC code ${code ?? 'none'}`
    return { ok: false, detail: words }
  }
  const said = servingStatus(message)
  return { ok: said === 'SERVING', detail: said === undefined ? 'answered no gRPC message' : `says ${said}` }
}

async function check(authority: string, service: string, signal: AbortSignal): Promise<Answer | Fault> {
  // Most pools probe otherwise, and it would stay in memory.
  const { connect } = await import('node:http2')
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const session = connect(`http://${authority}`)
    const finish = (act: () => void) => {
      signal.removeEventListener('abort', onAbort)
      act()
      session.destroy()
    }
    const onAbort = () => finish(() => reject(signal.reason))
    const onError = (error: unknown) => finish(() => reject(error))
    signal.addEventListener('abort', onAbort, { once: true })
    session.on('error', onError)
    session.once('close', () => finish(() => resolve({ fault: 'the connection was closed' })))
    // A request made sooner fails by itself when nothing listens, and hides why.
    session.once('connect', () => {
      const stream = session.request(headers)
      stream.end(healthRequest(service))
      readAnswer(stream).then((answer) => finish(() => resolve(answer)), onError)
    })
  })
}

function readAnswer(stream: ClientHttp2Stream): Promise<Answer | Fault> {
  return new Promise((resolve, reject) => {
    let status = 0
    let code: string | undefined
    let length = 0
    const parts: Buffer[] = []
    stream.on('error', reject)
    stream.on('response', (head) => {
      status = Number(head[':status'])
      code = text(head['grpc-status'])
    })
    stream.on('trailers', (trailers) => {
      code = text(trailers['grpc-status']) ?? code
    })
    stream.on('data', (part: Buffer) => {
      length += part.length
      if (length > maxAnswer) return resolve({ fault: `the answer is longer than ${maxAnswer} bytes` })
      parts.push(part)
    })
    stream.once('end', () => resolve({ status, code, message: Buffer.concat(parts) }))
    stream.once('close', () => resolve({ fault: 'the answer was broken off' }))
  })
}

function text(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined
}
