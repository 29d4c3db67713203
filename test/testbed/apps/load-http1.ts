import { Agent, type IncomingMessage, request } from 'node:http'
import {
  asLoadFailure,
  type LoadAttempt,
  type LoadCaller,
  LoadFailure,
  type LoadTarget,
} from './load-caller.ts'

/** Requests over one kept HTTP/1.1 connection; also downloads, which differ in their path only. */
export function createHttp1Caller(target: LoadTarget): LoadCaller {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })

  function call(attempt: LoadAttempt): Promise<void> {
    return new Promise((resolve, reject) => {
      const { host, port, path, authority } = target
      const sent = request({ host, port, path, agent, headers: { host: authority }, signal: attempt.signal })
      sent.once('error', (error) => reject(asLoadFailure(error)))
      sent.once('response', (response) => {
        const instance = header(response, 'x-instance')
        if (instance !== undefined) attempt.answered(instance)
        readToEnd(response, instance).then(resolve, reject)
      })
      sent.end()
    })
  }

  return { call, close: () => agent.destroy() }
}

function readToEnd(response: IncomingMessage, instance: string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const { statusCode = 0 } = response
    const promised = header(response, 'content-length')
    let received = 0
    let text = ''
    response.on('data', (chunk: Buffer) => {
      received += chunk.length
      if (statusCode >= 300 && text.length < 200) text += chunk.toString()
    })
    response.once('error', (error) => reject(asLoadFailure(error, instance)))
    response.once('close', () => {
      const whole = response.complete && (promised === undefined || Number(promised) === received)
      if (!whole) reject(new LoadFailure('TRUNCATED', `${received} of ${promised ?? '?'} bytes`, instance))
      else if (statusCode < 200 || statusCode >= 300)
        reject(new LoadFailure(`HTTP_${statusCode}`, text, instance))
      else resolve()
    })
  })
}

function header(response: IncomingMessage, name: string): string | undefined {
  const value = response.headers[name]
  return Array.isArray(value) ? value[0] : value
}
