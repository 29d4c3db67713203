import { sameHash } from '../auth/secret-hash.ts'
import type { TokenRecord } from '../store/records.ts'
import type { Stored } from '../store/resource-store.ts'
import type { Refusal } from './refusal.ts'

/** The resource of a token follows from its hash: finding one is one look-up, whether it exists or not. */
export function tokenName(hash: string): string {
  return `tok-${hash.slice(0, 16)}`
}

export interface TokenQuestion {
  /** What is stored under the presented token's name. */
  readonly stored: Stored<'token'> | undefined
  /** Hash of the presented token. */
  readonly hash: string
  readonly pool: string
  /** Thumbprint of the joiner's key. */
  readonly key: string
  readonly now: number
}

// Compared with when nothing is stored, so that both cases take the same time.
const nobody = '0'.repeat(64)

/** Whether the token is one of ours at all. Only who holds a real one learns more of it, or of any pool. */
export function isKnownToken({ stored, hash }: TokenQuestion): boolean {
  return sameHash(stored?.value.hash ?? nobody, hash)
}

/** Why a known token does not admit this key to this pool. Who used it already may come again. */
export function judgeToken(question: TokenQuestion): Refusal | undefined {
  const { stored, pool, key, now } = question
  if (stored === undefined || !isKnownToken(question)) return { code: 'TOKEN_INVALID' }
  const { value } = stored
  if (value.pool !== pool) return { code: 'TOKEN_FOR_OTHER_POOL' }
  if (now >= value.expiresAt) return { code: 'TOKEN_EXPIRED' }
  if (!value.usedBy.includes(key) && value.usedBy.length >= value.uses) return { code: 'TOKEN_USED_UP' }
  return undefined
}

/** The token after this key used it; the same record when it had already. */
export function usedToken(record: TokenRecord, key: string): TokenRecord {
  return record.usedBy.includes(key) ? record : { ...record, usedBy: [...record.usedBy, key] }
}
