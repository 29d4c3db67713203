import { fileURLToPath } from 'node:url'
import type { Caller } from '../caller.ts'
import { createObserver, type Observer } from './observer.ts'

/** A change of the endpoints that a peer's Envoy has, and the times of the look that saw it. */
export interface EndpointEvent {
  readonly begunAt: number
  readonly at: number
  readonly opened: readonly string[]
  readonly closed: readonly string[]
}

/** An answer that differs from the one before it. */
export interface AnswerEvent {
  readonly begunAt: number
  readonly at: number
  readonly status: number
  readonly instance: string
}

const program = (name: string) => fileURLToPath(new URL(`./${name}`, import.meta.url))

/** The endpoints as this VM's own Envoy has them: what a peer knows, and when. */
export function watchEndpoints(
  peer: Caller,
  options: { readonly filter?: string } = {},
): Observer<EndpointEvent> {
  const filter = options.filter === undefined ? [] : ['--filter', options.filter]
  return createObserver(peer, program('endpoints-program.ts'), filter)
}

/** The answers of one URL as this VM gets them through its sidecar. */
export function watchAnswers(peer: Caller, url: string): Observer<AnswerEvent> {
  return createObserver(peer, program('answers-program.ts'), ['--url', url])
}

/** When a peer's Envoy was first seen without the endpoint that it had until then. */
export async function closedAt(
  endpoints: Observer<EndpointEvent>,
  address: string,
  since: number,
  what: string,
): Promise<number> {
  const { at } = await endpoints.first((event) => event.at > since && event.closed.includes(address), {
    what,
  })
  return at
}

/** Waits until a peer's Envoy has the endpoint, by its newest change. */
export async function opened(
  endpoints: Observer<EndpointEvent>,
  address: string,
  what: string,
): Promise<void> {
  const change = endpoints.events.findLast(
    (event) => event.opened.includes(address) || event.closed.includes(address),
  )
  if (change?.opened.includes(address)) return
  const after = change?.at ?? 0
  await endpoints.first((event) => event.at > after && event.opened.includes(address), { what })
}
