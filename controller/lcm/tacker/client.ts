import { Type } from 'typebox'
import type { Secret } from '../../../shared/secret.ts'
import { type Reply, refusal } from '../exchange.ts'
import type { Keystone } from '../openstack/keystone.ts'
import { type Operation, parseOperation } from './operation.ts'
import { Subscription } from './subscription.ts'
import { checked, parseVnf, type Vnf } from './vnf.ts'

/** The two interfaces of Tacker for VNF lifecycle management (SOL 003), which are apart in code and data. */
export type TackerApi = 'v1' | 'v2'

/** How Tacker shows itself at our door. Version 1 sends nothing at all where a subscription asks for any. */
export type CallbackAuth =
  | { readonly type: 'none' }
  | { readonly type: 'basic'; readonly user: string; readonly password: Secret }
  | {
      readonly type: 'oauth2'
      readonly clientId: string
      readonly clientSecret: Secret
      readonly tokenEndpoint: string
    }

/** What the controller asks of a Tacker. Everything throws `LCM_*`, or the reason of the signal. */
export interface TackerClient {
  vnfs(signal: AbortSignal): Promise<readonly Vnf[]>
  /** Undefined for one that is not there. */
  vnf(id: string, signal: AbortSignal): Promise<Vnf | undefined>
  operation(id: string, signal: AbortSignal): Promise<Operation | undefined>
  subscriptions(signal: AbortSignal): Promise<readonly Subscription[]>
  /** Tacker asks the callback at once (GET, answered with 204), or refuses. */
  subscribe(callback: string, auth: CallbackAuth, signal: AbortSignal): Promise<string>
  unsubscribe(id: string, signal: AbortSignal): Promise<void>
}

export interface TackerClientDeps {
  readonly keystone: Keystone
  readonly api: TackerApi
  /** Instead of what the catalogue says. */
  readonly url?: string
}

const notificationTypes = [
  'VnfLcmOperationOccurrenceNotification',
  'VnfIdentifierCreationNotification',
  'VnfIdentifierDeletionNotification',
]
/** Version of SOL 003 that is spoken (SOL 013, clause 9). */
const versions: Readonly<Record<TackerApi, Readonly<Record<string, string>>>> = {
  v1: {},
  v2: { version: '2.0.0' },
}
const mostPages = 1000

export function createTackerClient({ keystone, api, url }: TackerClientDeps): TackerClient {
  const root = `/vnflcm/${api}`

  function ask(method: 'GET' | 'POST' | 'DELETE', path: string, signal: AbortSignal, body?: unknown) {
    return keystone.ask(
      {
        ...{ service: 'nfv-orchestration', method, path: `${root}${path}`, headers: versions[api] },
        ...(url !== undefined && { base: url }),
        ...(body !== undefined && { body }),
      },
      signal,
    )
  }

  async function one<T>(
    path: string,
    read: (body: unknown) => T,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    const reply = await ask('GET', path, signal)
    if (reply.status === 404) return undefined
    if (reply.status !== 200) throw refusal(path, reply)
    return read(reply.body)
  }

  /** Pages follow each other by `Link` (SOL 013, clause 5.4.2.3); by default there is one. */
  async function list<T>(path: string, read: (body: unknown) => T, signal: AbortSignal): Promise<T[]> {
    const found: T[] = []
    let next: string | undefined = path
    for (let page = 0; next !== undefined && page < mostPages; page += 1) {
      const reply: Reply = await ask('GET', next, signal)
      if (reply.status !== 200) throw refusal(path, reply)
      const bodies = checked(Type.Array(Type.Unknown(), { maxItems: 100_000 }), reply.body, path)
      found.push(...bodies.map(read))
      next = nextPage(reply, path)
    }
    return found
  }

  const segment = (id: string) => `/${encodeURIComponent(id)}`

  return {
    async vnfs(signal) {
      const briefly = await list('/vnf_instances', (body) => parseVnf(body), signal)
      // Lists of version 1 leave out what is instantiated (SOL 003, clause 5.4.2.3.2).
      if (api === 'v2') return briefly
      const whole: Vnf[] = []
      for (const { id } of briefly) {
        const vnf = await one(`/vnf_instances${segment(id)}`, parseVnf, signal)
        if (vnf !== undefined) whole.push(vnf)
      }
      return whole
    },
    vnf: (id, signal) => one(`/vnf_instances${segment(id)}`, parseVnf, signal),
    operation: (id, signal) => one(`/vnf_lcm_op_occs${segment(id)}`, parseOperation, signal),
    subscriptions: (signal) =>
      list('/subscriptions', (body) => checked(Subscription, body, 'subscription'), signal),
    async subscribe(callback, auth, signal) {
      const body = {
        callbackUri: callback,
        filter: { notificationTypes },
        ...(api === 'v2' && { verbosity: 'SHORT' }),
        ...authentication(auth),
      }
      const reply = await ask('POST', '/subscriptions', signal, body)
      // Version 1 answers with where the same one is already (SOL 003, clause 5.4.18.3.1).
      const at = reply.headers.location
      if (reply.status === 303 && at !== undefined) return at.slice(at.lastIndexOf('/') + 1)
      if (reply.status !== 201) throw refusal('a subscription', reply)
      return checked(Subscription, reply.body, 'subscription').id
    },
    async unsubscribe(id, signal) {
      const reply = await ask('DELETE', `/subscriptions${segment(id)}`, signal)
      if (reply.status !== 204 && reply.status !== 404) throw refusal('a subscription', reply)
    },
  }
}

/** SubscriptionAuthentication of SOL 013, clause 8.3.4. */
function authentication(auth: CallbackAuth): object {
  switch (auth.type) {
    case 'none':
      return {}
    case 'basic': {
      const paramsBasic = { userName: auth.user, password: auth.password.reveal() }
      return { authentication: { authType: ['BASIC'], paramsBasic } }
    }
    case 'oauth2': {
      const paramsOauth2ClientCredentials = {
        clientId: auth.clientId,
        clientPassword: auth.clientSecret.reveal(),
        tokenEndpoint: auth.tokenEndpoint,
      }
      return { authentication: { authType: ['OAUTH2_CLIENT_CREDENTIALS'], paramsOauth2ClientCredentials } }
    }
  }
}

/** The query of the next page; the rest of its address is not believed. */
function nextPage({ headers }: Reply, path: string): string | undefined {
  const text = [headers.link ?? ''].flat().join(',')
  const [, target] = /<([^>]*)>;[^,]*rel="?next"?/.exec(text) ?? []
  if (target === undefined) return undefined
  return `${path}${new URL(target, 'http://localhost').search}`
}
