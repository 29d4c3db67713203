import { type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { PoolScope, Role } from '../../../shared/api/operator.ts'
import { Name, Sha256, Time } from '../../../shared/api/wire.ts'
import { MooringError } from '../../../shared/errors.ts'
import type { Kinds } from '../resource-store.ts'
import { group, kindLabel, poolLabel, type SecretObject } from './resources.ts'

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
  return {
    type: `${group}/${kind}`,
    data: { [dataKey]: Buffer.from(JSON.stringify(value)).toString('base64') },
  }
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
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(object.data?.[dataKey] ?? '', 'base64').toString('utf8'))
  } catch {
    throw unreadable(name, 'it holds no JSON')
  }
  if (!Value.Check(schemas[kind], value)) throw unreadable(name, 'it holds something else')
  return { kind, name: name.slice(prefix.length), value: value as Kinds[SecretKind] }
}

function unreadable(name: string, why: string): MooringError {
  return new MooringError('STORE_UNREADABLE', { detail: `secret ${name}: ${why}` })
}
