import { newSecret } from '../auth/bearer.ts'
import { secretHash } from '../auth/secret-hash.ts'
import type { TokenRecord } from '../store/records.ts'
import { tokenName } from './token.ts'

export interface TokenWish {
  readonly pool: string
  readonly uses: number
  readonly ttlSeconds: number
  /** `operator:<name>`. */
  readonly createdBy: string
}

/** A join token, which nobody can read again, and what is kept of it. */
export interface NewToken {
  readonly id: string
  readonly token: string
  readonly record: TokenRecord
}

/** Makes a join token; it is worth something once its record is in the store, under its id. */
export function newJoinToken({ pool, uses, ttlSeconds, createdBy }: TokenWish, now: number): NewToken {
  const token = newSecret('join')
  const hash = secretHash(token)
  const expiresAt = now + ttlSeconds * 1000
  return {
    id: tokenName(hash),
    token,
    record: { pool, hash, uses, usedBy: [], createdAt: now, expiresAt, createdBy },
  }
}
