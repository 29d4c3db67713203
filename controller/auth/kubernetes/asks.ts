import type { PoolRule } from '../policy.ts'
import type { RouteAttributes } from './attributes.ts'

/** One thing that Kubernetes is asked: may this user do that? Without a namespace it is about all of them. */
export type Ask =
  | {
      readonly verb: string
      readonly resource: string
      readonly subresource?: string
      readonly namespace?: string
      readonly name?: string
    }
  | { readonly verb: string; readonly path: string }

/** What is known of a request. */
export interface RequestFacts {
  /** Name of the object in the path. */
  readonly name?: string | undefined
  /** The pool that it is about: of the path, the body, or of the object that the path names. */
  readonly pool?: string | undefined
  /** Namespace that the pool is to have. */
  readonly wanted?: string | undefined
  /** Namespace of each pool that there is. */
  readonly namespaces: ReadonlyMap<string, string>
}

/**
 * What Kubernetes must be asked for a request.
 *
 * - `every`: all of it must be allowed; `shown`: who may do this much may know that the object is there
 * - `listed`: `wide`, or as many of the places as are allowed
 * - `absent`: there is no such object
 */
export type Question =
  | {
      readonly kind: 'every'
      readonly asks: readonly Ask[]
      readonly refused: string
      readonly shown?: Ask
    }
  | {
      readonly kind: 'listed'
      readonly wide: Ask
      readonly places: readonly { readonly ask: Ask; readonly pools: readonly string[] }[]
      readonly refused: string
    }
  | { readonly kind: 'absent' }

const known: Question = { kind: 'every', asks: [], refused: '' }

/** What has to be asked about a request to a route with these attributes. */
export function questionOf(attributes: RouteAttributes, rule: PoolRule, facts: RequestFacts): Question {
  switch (attributes.of) {
    case 'nothing':
      return known
    case 'path': {
      const { verb, path } = attributes
      return { kind: 'every', asks: [{ verb, path }], refused: `it needs ${verb} on the path ${path}` }
    }
    case 'cluster': {
      const ask = askOf(attributes, undefined, facts.name)
      return { kind: 'every', asks: [ask], refused: `it needs ${wordsOf(attributes)} in the whole cluster` }
    }
    case 'pool':
      return rule === 'listed' ? listed(attributes, facts) : single(attributes, rule, facts)
  }
}

type Resource = Extract<RouteAttributes, { resource: string }>

function single(attributes: Resource, rule: PoolRule, facts: RequestFacts): Question {
  const { pool, name, wanted, namespaces } = facts
  const isHidden = rule === 'vm' || rule === 'token'
  if (isHidden && pool === undefined) return { kind: 'absent' }
  // Of a pool that is not there: who may do it anywhere learns that. The namespace is not said: it is in no request.
  const namespace = namespaces.get(pool ?? '')
  const isNew = namespace === undefined && attributes.verbIfNew !== undefined
  if (isNew) {
    const verb = attributes.verbIfNew ?? attributes.verb
    const refused = `it needs ${wordsOf({ ...attributes, verb })} in the namespace ${wanted ?? ''}`
    return { kind: 'every', asks: [askOf({ ...attributes, verb }, wanted, name)], refused }
  }
  const moves = wanted !== undefined && wanted !== namespace && attributes.verbIfNew !== undefined
  const asks = [
    askOf(attributes, namespace, name),
    ...(moves ? [askOf({ ...attributes, verb: attributes.verbIfNew }, wanted, name)] : []),
  ]
  const also = moves ? `, and ${attributes.verbIfNew} in the namespace ${wanted}` : ''
  return {
    kind: 'every',
    asks,
    refused: isHidden
      ? `it needs ${wordsOf(attributes)} in the namespace of its pool`
      : `it needs ${wordsOf(attributes)} in the namespace of pool ${pool ?? ''}${also}`,
    ...(isHidden && { shown: shownBy(attributes, rule, namespace, name) }),
  }
}

/** What lets somebody see that an object is there. */
function shownBy(
  { resource }: Resource,
  rule: PoolRule,
  namespace: string | undefined,
  name: string | undefined,
): Ask {
  return rule === 'token'
    ? askOf({ resource, verb: 'list' }, namespace, undefined)
    : askOf({ resource, verb: 'get' }, namespace, name)
}

function listed(attributes: Resource, { pool, namespaces }: RequestFacts): Question {
  const places = new Map<string, string[]>()
  for (const [name, namespace] of namespaces) {
    if (pool !== undefined && pool !== name) continue
    const pools = places.get(namespace)
    if (pools === undefined) places.set(namespace, [name])
    else pools.push(name)
  }
  return {
    kind: 'listed',
    wide: askOf(attributes, undefined, undefined),
    places: [...places].map(([namespace, pools]) => ({
      ask: askOf(attributes, namespace, undefined),
      pools,
    })),
    refused: `it needs ${wordsOf(attributes)} in a namespace with pools`,
  }
}

function askOf(
  { verb, resource, subresource }: Pick<Resource, 'verb' | 'resource' | 'subresource'>,
  namespace: string | undefined,
  name: string | undefined,
): Ask {
  return {
    verb,
    resource,
    ...(subresource !== undefined && { subresource }),
    ...(namespace !== undefined && { namespace }),
    ...(name !== undefined && { name }),
  }
}

/** `create on virtualmachines.mesh.mooring/drain`, as `kubectl auth can-i` and RBAC name it. */
function wordsOf({
  verb,
  resource,
  subresource,
}: Pick<Resource, 'verb' | 'resource' | 'subresource'>): string {
  return `${verb} on ${resource}.mesh.mooring${subresource === undefined ? '' : `/${subresource}`}`
}
