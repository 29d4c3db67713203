import { type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { PoolScope, Role } from '../../../shared/api/operator.ts'
import { Name, Sha256, Time } from '../../../shared/api/wire.ts'
import { MooringError } from '../../../shared/errors.ts'
import type { Kinds } from '../resource-store.ts'
import { group, kindLabel, poolLabel, type SecretObject, tokenLabel } from './resources.ts'

/** Further uses of a join token; see `token-pages.ts`. */
export interface TokenPage {
  readonly token: string
  readonly page: number
  readonly usedBy: readonly string[]
}

const TokenPage = Type.Object({
  token: Name,
  page: Type.Integer({ minimum: 1 }),
  usedBy: Type.Array(Type.String({ maxLength: 64 })),
})

/** Value of the kind label of pages. */
export const pageKind = 'token-page'

/** Kinds that are kept in Secrets of the controller's namespace; only hashes of what they let in with. */
export const secretKinds = ['token', 'operator', 'enrolment'] as const
export type SecretKind = (typeof secretKinds)[number]

const schemas: Record<SecretKind, TSchema> = {
  token: Type.Object({
    pool: Name,
    hash: Sha256,
    uses: Type.Integer({ minimum: 0 }),
    usedBy: Type.Array(Type.String({ maxLength: 64 })),
    createdAt: Time,
    expiresAt: Time,
    createdBy: Type.String(),
  }),
  operator: Type.Object({
    ...{ hash: Sha256, role: Role, pools: PoolScope, createdAt: Time, expiresAt: Time },
    certificate: Type.Optional(Type.Object({ thumbprint: Sha256, expiresAt: Time })),
  }),
  enrolment: Type.Object({ hash: Sha256, createdAt: Time, expiresAt: Time }),
}

const dataKey = 'record'

export function isSecretKind(kind: string): kind is SecretKind {
  return (secretKinds as readonly string[]).includes(kind)
}

/** The names of resources are unique for each kind; those of Secrets for all. */
export function secretName(kind: SecretKind, name: string): string {
  return `mooring-${kind}-${name}`
}

export function secretLabels(kind: SecretKind, value: Kinds[SecretKind]): Readonly<Record<string, string>> {
  return { [kindLabel]: kind, ...('pool' in value && { [poolLabel]: value.pool }) }
}

export function secretBody(kind: SecretKind, value: Kinds[SecretKind]): Pick<SecretObject, 'type' | 'data'> {
  return { type: `${group}/${kind}`, data: encoded(value) }
}

/** Throws `STORE_UNREADABLE` for what is not a record; the text of it is not repeated. */
export function readSecret(object: SecretObject): {
  kind: SecretKind
  name: string
  value: Kinds[SecretKind]
} {
  const { name, labels } = object.metadata
  const kind = labels?.[kindLabel] ?? ''
  const prefix = `mooring-${kind}-`
  if (!isSecretKind(kind) || !name.startsWith(prefix))
    throw unreadable(name, 'its name and its label disagree')
  const value = contentOf(object, schemas[kind])
  return { kind, name: name.slice(prefix.length), value: value as Kinds[SecretKind] }
}

/** Whether a Secret is a page of a token, and no resource of its own. */
export function isPage({ metadata }: SecretObject): boolean {
  return metadata.labels?.[kindLabel] === pageKind
}

export function pageName({ token, page }: Pick<TokenPage, 'token' | 'page'>): string {
  return `mooring-${pageKind}-${token}-${page}`
}

export function pageLabels({ token }: Pick<TokenPage, 'token'>): Readonly<Record<string, string>> {
  return { [kindLabel]: pageKind, [tokenLabel]: token }
}

export function pageBody(page: TokenPage): Pick<SecretObject, 'type' | 'data'> {
  return { type: `${group}/${pageKind}`, data: encoded(page) }
}

/** Throws `STORE_UNREADABLE`. */
export function readPage(object: SecretObject): TokenPage {
  const page = contentOf(object, TokenPage) as TokenPage
  if (pageName(page) !== object.metadata.name) throw unreadable(object.metadata.name, 'it is another page')
  return page
}

function encoded(value: unknown): Readonly<Record<string, string>> {
  return { [dataKey]: Buffer.from(JSON.stringify(value)).toString('base64') }
}

function contentOf({ metadata: { name }, data }: SecretObject, schema: TSchema): unknown {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(data?.[dataKey] ?? '', 'base64').toString('utf8'))
  } catch {
    throw unreadable(name, 'it holds no JSON')
  }
  if (!Value.Check(schema, value)) throw unreadable(name, 'it holds something else')
  return value
}

function unreadable(name: string, why: string): MooringError {
  return new MooringError('STORE_UNREADABLE', { detail: `secret ${name}: ${why}` })
}
