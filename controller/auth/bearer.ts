import { randomBytes } from 'node:crypto'

/** What kind of secret it is, readable in the secret itself: leaks are found by searching for it. */
export const secretPrefixes = { operator: 'mro_', join: 'mrj_', enrolment: 'mre_' } as const

/** A new secret of 256 random bits. */
export function newSecret(kind: keyof typeof secretPrefixes): string {
  return `${secretPrefixes[kind]}${randomBytes(32).toString('base64url')}`
}

/** The credential of an `Authorization: Bearer` header (RFC 6750); tokens with many groups are long. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer +([A-Za-z0-9._~+/=-]{1,8192}) *$/i.exec(authorization ?? '')?.[1]
}
