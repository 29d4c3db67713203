import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { VmView } from '../shared/api/operator.ts'
import { operatorPaths } from '../shared/api/wire.ts'
import { createBackoff } from '../shared/backoff.ts'
import type { Clock } from '../shared/clock.ts'
import { errorText, isMooringError } from '../shared/errors.ts'
import type { Client } from './client.ts'
import type { ServerEvent } from './event-reader.ts'

/** What became of a VM, or of the connection over which one hears of it. */
export type VmChange =
  | { readonly kind: 'vm'; readonly vm: VmView }
  | { readonly kind: 'gone'; readonly id: string }
  | { readonly kind: 'interrupted'; readonly why: string; readonly retryMs: number }

export interface VmEventsDeps {
  readonly client: Client
  readonly clock: Clock
  readonly random: () => number
  readonly signal: AbortSignal
}

const Gone = Type.Object({ id: Type.String() })

/**
 * All VMs that exist, then each change, for ever: a connection that ends is made anew, and VMs that went in the
 * meantime are reported as gone. Throws what a new connection would not mend.
 */
export async function* watchVms(deps: VmEventsDeps, pool: string | undefined): AsyncGenerator<VmChange> {
  const { client, clock, random, signal } = deps
  const backoff = createBackoff({ baseMs: 500, maxMs: 15_000, floorMs: 100, random })
  const known = new Set<string>()
  for (;;) {
    let why = 'the controller ended the stream'
    try {
      const missing = new Set(known)
      if (missing.size > 0) {
        const now = await client.call('GET', '/v1/vms', Type.Array(VmView), { query: { pool } })
        for (const { id } of now) missing.delete(id)
        for (const id of missing) {
          known.delete(id)
          yield { kind: 'gone', id }
        }
      }
      for await (const event of client.events(operatorPaths.events, { query: { pool } }, signal)) {
        backoff.reset()
        const change = readChange(event)
        if (change === undefined) continue
        if (change.kind === 'vm') known.add(change.vm.id)
        else known.delete(change.id)
        yield change
      }
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error
      why = errorText(error)
    }
    const retryMs = backoff.next()
    yield { kind: 'interrupted', why, retryMs }
    await clock.sleep(retryMs, signal)
  }
}

function isPassing(error: unknown): boolean {
  return isMooringError(error) && error.retryable
}

/** Undefined for events of a newer release, and for what does not fit. */
function readChange({ event, data }: ServerEvent): Exclude<VmChange, { kind: 'interrupted' }> | undefined {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {
    return undefined
  }
  if (event === 'vm' && Value.Check(VmView, value)) return { kind: 'vm', vm: value }
  if (event === 'gone' && Value.Check(Gone, value)) return { kind: 'gone', id: value.id }
  return undefined
}
