import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface StandInAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

export interface Seen {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
}

export interface StandInOpenStack {
  readonly url: string
  /** Everything that was asked but tokens. */
  readonly seen: Seen[]
  /** How many tokens were given. */
  tokens(): number
  /** Tokens given so far are good no more. */
  revoke(): void
  close(): Promise<void>
}

const password = 'correct horse'
const region = 'RegionOne'

/** Who the stand-in knows, with the project that each may act in. */
const users: Readonly<Record<string, { readonly password: string; readonly project: string }>> = {
  mooring: { password, project: 'nfv' },
  tacker: { password: 'battery staple', project: 'service' },
}

export interface StandInOptions {
  /** @defaultValue 127.0.0.1 */
  readonly address?: string
  /** Of Tacker, for the catalogue. @defaultValue the stand-in itself, under `/nfv` */
  readonly tacker?: string
  readonly tokenSeconds?: number
  readonly now?: () => number
}

/**
 * A stand-in for a cloud: Keystone (Identity API v3, tokens by password, which others may look at) as it is documented,
 * and behind its tokens whatever `answer` says, as Nova under `/compute` and Tacker under `/nfv`.
 */
export async function startStandInOpenStack(
  answer: (seen: Seen) => StandInAnswer,
  options: StandInOptions = {},
): Promise<StandInOpenStack> {
  const { address = '127.0.0.1', tokenSeconds = 3600, now = () => Date.now() } = options
  const seen: Seen[] = []
  const good = new Map<string, { readonly until: number; readonly body: object }>()
  let given = 0

  function token(asked: unknown): StandInAnswer {
    const { auth } = asked as {
      auth: {
        identity: { password: { user: { name: string; password: string } } }
        scope: { project: { name: string } }
      }
    }
    const { user } = auth.identity.password
    const known = users[user.name]
    if (known?.password !== user.password || auth.scope.project.name !== known.project) return unauthorized
    given += 1
    const name = `token-${given}`
    const until = now() + tokenSeconds * 1000
    const body = { token: tokenOf(user.name, known.project, until) }
    good.set(name, { until, body })
    return { status: 201, headers: { 'x-subject-token': name }, body }
  }

  /** As `POST /v3/auth/tokens` shows it, and to whom it is shown (`GET`, keystonemiddleware). */
  function tokenOf(user: string, project: string, until: number): object {
    const domain = { id: 'default', name: 'Default' }
    const endpoints = (at: string) =>
      ['public', 'internal', 'admin'].map((kind) => ({
        id: kind,
        interface: kind,
        region,
        region_id: region,
        url: at,
      }))
    const services = {
      identity: `${url}/v3`,
      compute: `${url}/compute/v2.1`,
      'nfv-orchestration': options.tacker ?? `${url}/nfv`,
    }
    return {
      methods: ['password'],
      issued_at: new Date(now()).toISOString(),
      expires_at: new Date(until).toISOString(),
      audit_ids: [user],
      user: { id: `id-${user}`, name: user, domain, password_expires_at: null },
      project: { id: `id-${project}`, name: project, domain },
      is_domain: false,
      roles: ['admin', 'member', 'reader'].map((name) => ({ id: name, name })),
      catalog: Object.entries(services).map(([type, at]) => ({
        id: type,
        type,
        name: type,
        endpoints: endpoints(at),
      })),
    }
  }

  function identity({ method, path, headers, body }: Seen): StandInAnswer | undefined {
    if (path === '/v3' || path === '/v3/') return { status: 200, body: { version: versionAt(url) } }
    if (path !== '/v3/auth/tokens') return undefined
    if (method === 'POST') return token(body)
    const shown = String(headers['x-subject-token'])
    const found = good.get(shown)
    if (found === undefined || !isGood(headers)) return unauthorized
    return { status: 200, headers: { 'x-subject-token': shown }, body: found.body }
  }

  const isGood = (headers: IncomingMessage['headers']) =>
    (good.get(String(headers['x-auth-token']))?.until ?? 0) > now()

  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
    const text = Buffer.concat(parts).toString()
    const body: unknown = text === '' ? undefined : JSON.parse(text)
    const { method = '', url: path = '', headers } = request
    const respond = (): StandInAnswer => {
      const one = { method, path, headers, body }
      const own = identity(one)
      if (own !== undefined) return own
      if (!isGood(headers)) return unauthorized
      seen.push(one)
      return answer(one)
    }
    const { status, headers: own = {}, body: said } = respond()
    response.writeHead(status, { ...(said !== undefined && { 'content-type': 'application/json' }), ...own })
    response.end(typeof said === 'string' || said === undefined ? said : JSON.stringify(said))
  })
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  const url = `http://${address}:${(server.address() as AddressInfo).port}`
  return {
    url,
    seen,
    tokens: () => given,
    revoke: () => good.clear(),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A controller's user. */
export const standInUser = { user: 'mooring', project: 'nfv', password } as const

/** Tacker's own user. */
export const standInTacker = { name: 'tacker', password: 'battery staple', project: 'service' } as const

function versionAt(url: string): object {
  return { id: 'v3.14', status: 'stable', 'media-types': [], links: [{ rel: 'self', href: `${url}/v3/` }] }
}

const unauthorized: StandInAnswer = {
  status: 401,
  body: {
    error: {
      code: 401,
      message: 'The request you have made requires authentication.',
      title: 'Unauthorized',
    },
  },
}
