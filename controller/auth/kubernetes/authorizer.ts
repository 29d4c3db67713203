import type { ResourceStore } from '../../store/resource-store.ts'
import { type Authorizer, poolOf, type Requested } from '../authorizer.ts'
import type { ClusterPrincipal, ClusterUser, Verdict } from '../policy.ts'
import { type Question, questionOf } from './asks.ts'
import { routeAttributes } from './attributes.ts'
import type { Reviews } from './reviews.ts'

export interface ClusterAuthorizerDeps {
  readonly reviews: Pick<Reviews, 'allows'>
  readonly store: ResourceStore
}

/** How many namespaces are asked about at a time. */
const mostAtOnce = 16

/** Decides as the cluster's own permissions say, in the namespace of the pool that a request is about. */
export function createClusterAuthorizer(deps: ClusterAuthorizerDeps): Authorizer<ClusterPrincipal> {
  const { reviews, store } = deps

  async function questionFor(requested: Requested): Promise<Question> {
    const attributes = routeAttributes[requested.route]
    // A test compares the table with the routes; should they part nevertheless, nobody is let in.
    if (attributes === undefined) return { kind: 'absent' }
    const { id, name, sha256 } = (requested.params ?? {}) as { id?: string; name?: string; sha256?: string }
    const pools = await store.list('pool')
    return questionOf(attributes, requested.access.pool, {
      name: name ?? id ?? sha256,
      pool: await poolOf(store, requested),
      wanted: (requested.body as { namespace?: string } | null | undefined)?.namespace,
      namespaces: new Map(pools.map((pool) => [pool.name, pool.value.spec.namespace])),
    })
  }

  async function judge(user: ClusterUser, question: Question): Promise<Verdict> {
    switch (question.kind) {
      case 'absent':
        return { allowed: false, code: 'NOT_FOUND' }
      case 'listed': {
        const pools = await reach(user, question)
        if (pools.length > 0 || question.places.length === 0) return { allowed: true, pools }
        return { allowed: false, code: 'FORBIDDEN', detail: question.refused }
      }
      case 'every': {
        for (const ask of question.asks) {
          if (await reviews.allows(user, ask)) continue
          const mayKnow = question.shown === undefined || (await reviews.allows(user, question.shown))
          return mayKnow
            ? { allowed: false, code: 'FORBIDDEN', detail: question.refused }
            : { allowed: false, code: 'NOT_FOUND' }
        }
        return { allowed: true }
      }
    }
  }

  /** The pools that the user may see. */
  async function reach(
    user: ClusterUser,
    { wide, places }: Extract<Question, { kind: 'listed' }>,
  ): Promise<readonly string[]> {
    if (await reviews.allows(user, wide)) return ['*']
    const seen: string[] = []
    for (let from = 0; from < places.length; from += mostAtOnce) {
      const some = places.slice(from, from + mostAtOnce)
      const allowed = await Promise.all(some.map(({ ask }) => reviews.allows(user, ask)))
      seen.push(...some.filter((_, index) => allowed[index]).flatMap(({ pools }) => pools))
    }
    return seen
  }

  return {
    async early({ user }, requested) {
      const { pool } = requested.access
      // What is about a pool is judged when it is known which.
      if (pool !== 'all' && pool !== 'none') return { allowed: true }
      return judge(user, await questionFor(requested))
    },
    async whole({ user }, requested) {
      return judge(user, await questionFor(requested))
    },
  }
}
