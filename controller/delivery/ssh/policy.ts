import type { ErrorCode } from '../../../shared/error-catalogue.ts'
import { fingerprint, type HostKey, sameKey } from './host-keys.ts'

/** What is known of a host before it shows its key. */
export interface KnownKeys {
  /** Vouched for: by the request, by its console's log, or by the pool. */
  readonly vouched: readonly HostKey[]
  /** Seen before, and recorded then. */
  readonly pinned: readonly HostKey[]
  /** Known to be in wrong hands. */
  readonly revoked: readonly HostKey[]
}

export type HostKeyVerdict =
  /** `pin`: nobody vouched for it; it is recorded. */
  | { readonly trusted: true; readonly pin: boolean }
  | { readonly trusted: false; readonly code: ErrorCode; readonly detail: string }

/**
 * Whether the key that a host shows is its own; asked before anything secret is sent. Who vouches has the last word: a
 * key that was only seen before counts when nobody does. A key at first sight is taken only where the pool allows it.
 */
export function judgeHostKey(shown: HostKey, known: KnownKeys, firstSight: 'refuse' | 'pin'): HostKeyVerdict {
  const has = (list: readonly HostKey[]) => list.some((one) => sameKey(one, shown))
  if (has(known.revoked)) {
    return refused('SSH_HOST_KEY_CHANGED', `it shows ${fingerprint(shown)}, which is marked as revoked`)
  }
  const expected = known.vouched.length > 0 ? known.vouched : known.pinned
  if (expected.length === 0) {
    if (firstSight === 'pin') return { trusted: true, pin: true }
    return refused('SSH_HOST_KEY_UNKNOWN', `it shows ${fingerprint(shown)} (${shown.type})`)
  }
  if (has(expected)) return { trusted: true, pin: false }
  return refused(
    'SSH_HOST_KEY_CHANGED',
    `it shows ${fingerprint(shown)}, and ${expected.map(fingerprint).join(' or ')} is known`,
  )
}

/** Which kinds of key to ask the host for: those that are known, so that it shows one that can be compared. */
export function wantedKinds(known: KnownKeys): readonly string[] | undefined {
  const expected = known.vouched.length > 0 ? known.vouched : known.pinned
  if (expected.length === 0) return undefined
  return [
    ...new Set(
      expected.flatMap(({ type }) => (type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type])),
    ),
  ]
}

function refused(code: ErrorCode, detail: string): HostKeyVerdict {
  return { trusted: false, code, detail }
}
