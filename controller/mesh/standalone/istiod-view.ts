import { errorText, MooringError } from '../../../shared/errors.ts'
import { revisionAnnotation } from '../objects.ts'
import { parseRegistry, parseRevisions, type Registry } from './registry.ts'

/** What istiod says of itself on its debug interface (istio pilot/pkg/xds/debug.go), read on loopback. */
export interface IstiodView {
  /** Services and endpoints as peers will be told. */
  registry(signal: AbortSignal): Promise<Registry>
  /** Revision of every object that it has read, by `refText`. */
  revisions(signal: AbortSignal): Promise<ReadonlyMap<string, string>>
  /** Whether what it tells new sidecars takes an AuthorizationPolicy of this revision into account. */
  policyInForce(revision: string, signal: AbortSignal): Promise<boolean>
}

const timeoutMs = 10_000
const maxBytes = 64 * 1024 * 1024

export function createIstiodView(port: number): IstiodView {
  async function read(path: string, signal: AbortSignal): Promise<string> {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/debug/${path}`, {
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      })
      if (!response.ok) {
        await response.body?.cancel()
        throw new MooringError('MESH_UNAVAILABLE', { detail: `${path}: HTTP ${response.status}` })
      }
      return await bounded(response)
    } catch (error) {
      if (error instanceof MooringError) throw error
      signal.throwIfAborted()
      throw new MooringError('MESH_UNAVAILABLE', { detail: `${path}: ${errorText(error)}`, cause: error })
    }
  }

  async function readJson(path: string, signal: AbortSignal): Promise<unknown> {
    const text = await read(path, signal)
    try {
      return JSON.parse(text)
    } catch (error) {
      throw new MooringError('MESH_UNAVAILABLE', { detail: `${path}: ${errorText(error)}`, cause: error })
    }
  }

  return {
    async registry(signal) {
      // One after the other: an endpoint seen here never belongs to a service seen too early.
      const services = await readJson('registryz', signal)
      return parseRegistry(services, await readJson('endpointShardz', signal))
    },
    revisions: async (signal) => parseRevisions(await readJson('configz', signal), revisionAnnotation),
    policyInForce: async (revision, signal) =>
      (await read('authorizationz', signal)).includes(JSON.stringify(revision)),
  }
}

async function bounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > maxBytes) throw new MooringError('MESH_UNAVAILABLE', { detail: 'the answer is too large' })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
