import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Clock } from '../../../shared/clock.ts'
import { MooringError } from '../../../shared/errors.ts'
import { Secret } from '../../../shared/secret.ts'
import { type Asked, type Exchange, type Reply, refusal } from '../exchange.ts'

/** A user of OpenStack, and the project that it acts in. */
export interface KeystoneAccess {
  /** Of the Identity service, version 3, for example `https://keystone.example.org/v3`. */
  readonly url: string
  readonly user: string
  /** @defaultValue Default */
  readonly userDomain?: string
  readonly project: string
  /** @defaultValue Default */
  readonly projectDomain?: string
  /** Where the catalogue has several. */
  readonly region?: string
  /** Read again for each token: it may have been changed. */
  readonly password: () => Promise<Secret>
}

/** Tokens of the Identity service, and what is where. */
export interface Keystone {
  /**
   * Sends a request to the service of that kind in the catalogue (`nfv-orchestration`, `compute`), with a token; a
   * token that is refused is renewed once. `base` takes the place of what the catalogue says.
   */
  ask(asked: ServiceAsked, signal: AbortSignal): Promise<Reply>
}

export interface ServiceAsked extends Omit<Asked, 'url'> {
  readonly service: string
  readonly base?: string
  /** After the address of the service, with its query. */
  readonly path: string
}

export interface KeystoneDeps {
  readonly access: KeystoneAccess
  readonly exchange: Exchange
  readonly clock: Clock
}

/** As much of a token's life is left when the next one is got. */
const marginMs = 60_000

const TokenBody = Type.Object({
  token: Type.Object({
    expires_at: Type.String({ maxLength: 64 }),
    catalog: Type.Optional(
      Type.Array(
        Type.Object({
          type: Type.String({ maxLength: 255 }),
          endpoints: Type.Array(
            Type.Object({
              interface: Type.String({ maxLength: 64 }),
              url: Type.String({ maxLength: 2048 }),
              region_id: Type.Optional(Type.Union([Type.String({ maxLength: 255 }), Type.Null()])),
            }),
            { maxItems: 1000 },
          ),
        }),
        { maxItems: 1000 },
      ),
    ),
  }),
})
type Catalogue = NonNullable<Static<typeof TokenBody>['token']['catalog']>

interface Grant {
  readonly token: Secret
  readonly until: number
  readonly catalogue: Catalogue
}

export function createKeystone({ access, exchange, clock }: KeystoneDeps): Keystone {
  let grant: Grant | undefined
  let getting: Promise<Grant> | undefined

  async function current(signal: AbortSignal): Promise<Grant> {
    if (grant !== undefined && clock.now() < grant.until - marginMs) return grant
    getting ??= authenticate(signal).finally(() => {
      getting = undefined
    })
    grant = await getting
    return grant
  }

  /** Identity API v3, "Password authentication with scoped authorization". */
  async function authenticate(signal: AbortSignal): Promise<Grant> {
    const { user, userDomain = 'Default', project, projectDomain = 'Default' } = access
    const password = await access.password()
    const body = {
      auth: {
        identity: {
          methods: ['password'],
          password: { user: { name: user, domain: { name: userDomain }, password: password.reveal() } },
        },
        scope: { project: { name: project, domain: { name: projectDomain } } },
      },
    }
    const url = new URL(`${access.url.replace(/\/$/, '')}/auth/tokens`)
    const reply = await exchange.send({ method: 'POST', url, body }, signal)
    if (reply.status !== 201) throw refusal(`a token of ${user} for ${project}`, reply)
    const token = reply.headers['x-subject-token']
    const until = Value.Check(TokenBody, reply.body)
      ? Date.parse(withZone(reply.body.token.expires_at))
      : Number.NaN
    if (typeof token !== 'string' || Number.isNaN(until))
      throw new MooringError('LCM_ANSWER_INVALID', { detail: `${url.origin}: no token of Keystone` })
    const { catalog = [] } = (reply.body as Static<typeof TokenBody>).token
    return { token: new Secret(token), until, catalogue: catalog }
  }

  return {
    async ask({ service, base, path, headers, ...rest }, signal) {
      for (let tries = 1; ; tries += 1) {
        const { token, catalogue } = await current(signal)
        const root = base ?? endpointOf(catalogue, service, access.region)
        const url = new URL(`${root.replace(/\/$/, '')}${path}`)
        const asked = { ...rest, url, headers: { ...headers, 'x-auth-token': token.reveal() } }
        const reply = await exchange.send(asked, signal)
        if (reply.status !== 401 || tries > 1) return reply
        grant = undefined
      }
    },
  }
}

function withZone(text: string): string {
  return /(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`
}

/** The public address of a service. Throws `LCM_REFUSED` where the catalogue has none. */
export function endpointOf(catalogue: Catalogue, service: string, region: string | undefined): string {
  const found = catalogue
    .filter(({ type }) => type === service)
    .flatMap(({ endpoints }) => endpoints)
    .find((one) => one.interface === 'public' && (region === undefined || one.region_id === region))
  if (found !== undefined) return found.url
  const where = region === undefined ? '' : ` in the region ${region}`
  throw new MooringError('LCM_REFUSED', { detail: `the catalogue has no ${service}${where}` })
}
