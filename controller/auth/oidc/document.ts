import { request } from 'node:https'
import { errorText, MooringError } from '../../../shared/errors.ts'

export interface DocumentRequest {
  readonly url: URL
  /** PEM; undefined for those that the machine trusts. */
  readonly ca: string | undefined
  readonly timeoutMs: number
  readonly maxBytes: number
}

/** Fetches a JSON document; follows no redirect. Throws `UNAVAILABLE`, with where and why. */
export function fetchDocument({ url, ca, timeoutMs, maxBytes }: DocumentRequest): Promise<unknown> {
  const failed = (why: string, cause?: unknown) =>
    new MooringError('UNAVAILABLE', { detail: `${url.href}: ${why}`, cause, retryAfterSeconds: 5 })
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const asked = request(url, {
      ...(ca && { ca }),
      agent: false,
      signal,
      headers: { accept: 'application/json' },
    })
    const fail = (error: unknown) =>
      reject(failed(signal.aborted ? `no answer within ${timeoutMs} ms` : errorText(error), error))
    asked.once('error', fail)
    asked.once('response', (response) => {
      const parts: Buffer[] = []
      let length = 0
      response.once('error', fail)
      response.on('data', (part: Buffer) => {
        length += part.length
        if (length <= maxBytes) parts.push(part)
        else {
          reject(failed(`it is larger than ${maxBytes} bytes`))
          response.destroy()
        }
      })
      response.once('end', () => {
        if (response.statusCode !== 200) return reject(failed(`HTTP ${response.statusCode}`))
        try {
          resolve(JSON.parse(Buffer.concat(parts).toString('utf8')))
        } catch (error) {
          reject(failed('it is not JSON', error))
        }
      })
    })
    asked.end()
  })
}
