import type { Writable } from 'node:stream'
import { MooringError } from '../shared/errors.ts'

/** Writes whole lines; resolves when the line has left this process. */
export type LineOutput = (line: string) => Promise<void>

/** More than this waiting means that nobody reads. */
const mostWaiting = 4 * 1024 * 1024

/** Lines to a stream, standard output for one. Throws `STORE_UNAVAILABLE` when it is closed, or nobody reads it. */
export function createLineOutput(stream: Writable): LineOutput {
  let failure: Error | undefined
  stream.on('error', (error) => {
    failure = error
  })
  return (line) =>
    new Promise((resolve, reject) => {
      const refuse = (cause?: Error | null) =>
        reject(new MooringError('STORE_UNAVAILABLE', { detail: 'standard output', cause }))
      if (failure !== undefined || stream.writableLength > mostWaiting) return refuse(failure)
      stream.write(`${line}\n`, (error) => (error ? refuse(error) : resolve()))
    })
}
