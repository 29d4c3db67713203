import { closeCodes } from '../../shared/api/stream.ts'
import type { ErrorCode } from '../../shared/error-catalogue.ts'

/** How a stream, or the attempt to open one, ended. */
export interface StreamEnd {
  /** It was open, and the controller had said welcome. */
  readonly welcomed: boolean
  /** WebSocket close code; 1006 when the connection just went. */
  readonly closeCode: number
  /** Why it could not be opened. */
  readonly error?: ErrorCode
}

/** What to do next. Times are in milliseconds; the delay is uniform between the two. */
export type Reconnect =
  | { readonly kind: 'again'; readonly fromMs: number; readonly toMs: number; readonly why: string }
  /** The controller does not know this identity any more: join anew, then come back. */
  | { readonly kind: 'renew'; readonly fromMs: number; readonly toMs: number; readonly why: string }
  | { readonly kind: 'revoked' }

const firstMs = 200
const longestMs = 5_000
/** Two agents with one identity would throw each other out for ever. */
const replacedMs = 60_000
/** An operator has to do something first: often enough to notice, seldom enough not to disturb. */
const slowMs = 300_000

/** What follows the end of a stream; `failures` counts attempts in a row without a welcome. */
export function afterStream(end: StreamEnd, failures: number): Reconnect {
  const cap = Math.min(longestMs, firstMs * 2 ** Math.min(failures, 10))
  if (end.error === 'KEY_REVOKED' || end.closeCode === closeCodes.revoked) return { kind: 'revoked' }
  if (end.error === 'UNAUTHENTICATED' || end.error === 'KEY_UNKNOWN') {
    const why = 'the controller does not accept the certificate'
    // Each is a join; where one does not help, many more will not.
    return { kind: 'renew', fromMs: 0, toMs: Math.min(60_000, cap * 2 ** Math.min(failures, 6)), why }
  }
  if (end.closeCode === closeCodes.replaced) {
    const why = 'another agent holds a stream with the identity of this VM'
    return { kind: 'again', fromMs: replacedMs / 2, toMs: replacedMs, why }
  }
  if (end.error === 'CONTROLLER_UNTRUSTED') {
    const why = 'the controller shows a certificate that is not trusted'
    return { kind: 'again', fromMs: 0, toMs: Math.min(slowMs, cap * 2 ** Math.min(failures, 6)), why }
  }
  if (end.closeCode === closeCodes.version || end.error === 'WIRE_VERSION_UNSUPPORTED') {
    const why = 'agent and controller are more than one release apart'
    return { kind: 'again', fromMs: slowMs / 10, toMs: slowMs, why }
  }
  if (end.closeCode === closeCodes.protocol) {
    const why = 'the controller did not understand this agent'
    return { kind: 'again', fromMs: 1_000, toMs: longestMs * 6, why }
  }
  if (end.closeCode === closeCodes.busy) {
    return { kind: 'again', fromMs: 100, toMs: Math.max(cap, 2_000), why: 'the controller is busy or stops' }
  }
  return { kind: 'again', fromMs: 0, toMs: cap, why: 'the connection was lost' }
}
