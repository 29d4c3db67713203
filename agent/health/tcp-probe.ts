import { connect } from 'node:net'
import type { ProbeResult } from './judge.ts'

/** Well is what accepts a connection. Rejects with the error of the connection, or with the signal's reason. */
export function probeByTcp(host: string, port: number, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const socket = connect({ host, port })
    const onAbort = () => {
      socket.destroy()
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('connect', () => {
      socket.end()
      socket.destroy()
      resolve({ ok: true, detail: 'accepts connections' })
    })
    socket.on('error', reject)
    socket.once('close', () => signal.removeEventListener('abort', onAbort))
  })
}
