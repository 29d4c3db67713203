import { createHash } from 'node:crypto'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Clock } from '../../../shared/clock.ts'
import { MooringError } from '../../../shared/errors.ts'
import type { Secret } from '../../../shared/secret.ts'
import type { Client } from '../../kubernetes/client.ts'
import type { ResourceType } from '../../kubernetes/resource.ts'
import type { ClusterPrincipal, ClusterUser } from '../policy.ts'
import { createRecent } from '../recent.ts'
import type { Ask } from './asks.ts'
import { operatorGroup } from './attributes.ts'

export interface ReviewsDeps {
  readonly client: Pick<Client, 'post'>
  /** Whom tokens must be for; one of them is enough. */
  readonly audiences: readonly string[]
  readonly clock: Clock
}

/** Asks the cluster who somebody is, and what they may do. Both throw what the client throws. */
export interface Reviews {
  /** Whose token it is (TokenReview); undefined when nobody's, or when it is for somebody else than us. */
  identify(token: Secret): Promise<ClusterPrincipal | undefined>
  /** Whether the user may (SubjectAccessReview). */
  allows(user: ClusterUser, ask: Ask): Promise<boolean>
}

/** How long an answer counts, so that a stream of requests is not one of reviews. What is taken back ends as late. */
export const reviewMs = { granted: 10_000, refused: 5_000 } as const

const mostKept = { tokens: 1_000, decisions: 10_000 } as const
const atOnce = 64
const timeoutMs = 10_000
const tokenReviews: ResourceType = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'tokenreviews',
  kind: 'TokenReview',
}
const accessReviews: ResourceType = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
}

const Words = Type.Array(Type.String({ maxLength: 4096 }), { maxItems: 4096 })
const TokenReview = Type.Object({
  status: Type.Object({
    authenticated: Type.Optional(Type.Boolean()),
    audiences: Type.Optional(Words),
    user: Type.Optional(
      Type.Object({
        // What it did may be written down, with its name, in a field of 1024 characters.
        username: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
        uid: Type.Optional(Type.String({ maxLength: 512 })),
        groups: Type.Optional(Words),
        extra: Type.Optional(Type.Record(Type.String({ maxLength: 512 }), Words)),
      }),
    ),
  }),
})
type TokenReview = Static<typeof TokenReview>
const AccessReview = Type.Object({
  status: Type.Object({ allowed: Type.Boolean(), denied: Type.Optional(Type.Boolean()) }),
})

export function createReviews(deps: ReviewsDeps): Reviews {
  const { client, audiences, clock } = deps
  const tokens = createRecent<ClusterPrincipal | undefined>({
    clock,
    most: mostKept.tokens,
    atOnce,
    keepMs: (principal) =>
      principal === undefined
        ? reviewMs.refused
        : Math.min(reviewMs.granted, (principal.expiresAt ?? Number.POSITIVE_INFINITY) - clock.now()),
  })
  const decisions = createRecent<boolean>({
    clock,
    most: mostKept.decisions,
    atOnce,
    keepMs: (allowed) => (allowed ? reviewMs.granted : reviewMs.refused),
  })

  return {
    identify: (token) =>
      tokens.get(digest(token.reveal()), async () => {
        const spec = { token: token.reveal(), audiences }
        const answer = await client.post<unknown>(tokenReviews, {}, { spec }, { timeoutMs })
        return principalOf(checked(TokenReview, answer), audiences, expiryOf(token))
      }),
    allows: (user, ask) =>
      decisions.get(digest(JSON.stringify([user, ask])), async () => {
        const { username, uid, groups, extra } = user
        const spec = { user: username, uid, groups, extra, ...attributesOf(ask) }
        const answer = await client.post<unknown>(accessReviews, {}, { spec }, { timeoutMs })
        const { allowed, denied = false } = checked(AccessReview, answer).status
        return allowed && !denied
      }),
  }
}

/** An API server that knows no audiences answers without them, for tokens that are for anybody. */
function principalOf(
  { status }: TokenReview,
  audiences: readonly string[],
  expiresAt: number | undefined,
): ClusterPrincipal | undefined {
  const { authenticated = false, user } = status
  if (!authenticated || user?.username === undefined) return undefined
  if (!status.audiences?.some((audience) => audiences.includes(audience))) return undefined
  const { username, uid = '', groups = [], extra = {} } = user
  return {
    by: 'kubernetes',
    name: `kubernetes:${username}`,
    user: { username, uid, groups, extra },
    pools: [],
    ...(expiresAt !== undefined && { expiresAt }),
  }
}

function attributesOf(ask: Ask) {
  return 'path' in ask
    ? { nonResourceAttributes: { path: ask.path, verb: ask.verb } }
    : { resourceAttributes: { group: operatorGroup, version: '*', ...ask } }
}

/** When a token ends, if it is a JWT and says so: it was judged by who issued it. */
function expiryOf(token: Secret): number | undefined {
  try {
    const [, payload = ''] = token.reveal().split('.')
    const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { exp?: unknown }
    return typeof exp === 'number' && Number.isSafeInteger(exp * 1000) ? exp * 1000 : undefined
  } catch {
    return undefined
  }
}

function checked<S extends typeof TokenReview | typeof AccessReview>(schema: S, answer: unknown): Static<S> {
  if (Value.Check(schema, answer)) return answer as Static<S>
  throw new MooringError('UNAVAILABLE', {
    detail: 'the API server answers a review in a form that is not known',
  })
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
