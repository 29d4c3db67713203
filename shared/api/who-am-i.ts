import { type Static, Type } from 'typebox'
import { PoolScope, Role } from './operator.ts'
import { Text, Time } from './wire.ts'

/** How an operator was recognised: by a record of the controller, a token of an issuer, or a token of the cluster. */
export const operatorOrigins = ['mooring', 'oidc', 'kubernetes'] as const

/** Who an operator is. What one of a cluster may do is the cluster's to say, so that it has no role and no pools here. */
export const WhoAmI = Type.Object({
  name: Text,
  /** Absent from controllers that know operators of their own alone. */
  by: Type.Optional(Type.Enum(operatorOrigins)),
  role: Type.Optional(Role),
  pools: Type.Optional(PoolScope),
  groups: Type.Optional(Type.Array(Type.String())),
  /** Absent where the token does not say it. */
  expiresAt: Type.Optional(Time),
  createdAt: Type.Optional(Time),
})
export type WhoAmI = Static<typeof WhoAmI>
