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

/**
 * A stand-in for a cloud: Keystone (Identity API v3, tokens by password) as it is documented, and behind its tokens
 * whatever `answer` says, as Nova under `/compute` and Tacker under `/nfv`.
 */
export async function startStandInOpenStack(
  answer: (seen: Seen) => StandInAnswer,
  { tokenSeconds = 3600, now = () => Date.now() }: { tokenSeconds?: number; now?: () => number } = {},
): Promise<StandInOpenStack> {
  const seen: Seen[] = []
  const good = new Map<string, number>()
  let given = 0

  function token(body: unknown): StandInAnswer {
    const { auth } = body as {
      auth: {
        identity: { password: { user: { name: string; password: string } } }
        scope: { project: { name: string } }
      }
    }
    const { user } = auth.identity.password
    if (user.name !== 'mooring' || user.password !== password || auth.scope.project.name !== 'nfv')
      return unauthorized
    given += 1
    const name = `token-${given}`
    const until = now() + tokenSeconds * 1000
    good.set(name, until)
    const endpoint = (path: string) => [{ interface: 'public', region_id: 'RegionOne', url: `${url}${path}` }]
    const catalog = [
      { type: 'compute', endpoints: endpoint('/compute/v2.1') },
      { type: 'nfv-orchestration', endpoints: endpoint('/nfv') },
    ]
    const expires = new Date(until).toISOString()
    return {
      status: 201,
      headers: { 'x-subject-token': name },
      body: { token: { expires_at: expires, catalog } },
    }
  }

  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
    const text = Buffer.concat(parts).toString()
    const body: unknown = text === '' ? undefined : JSON.parse(text)
    const { method = '', url: path = '', headers } = request
    const respond = (): StandInAnswer => {
      if (path === '/v3/auth/tokens' && method === 'POST') return token(body)
      const until = good.get(String(headers['x-auth-token']))
      if (until === undefined || until <= now()) return unauthorized
      const one = { method, path, headers, body }
      seen.push(one)
      return answer(one)
    }
    const { status, headers: own = {}, body: said } = respond()
    response.writeHead(status, { ...(said !== undefined && { 'content-type': 'application/json' }), ...own })
    response.end(typeof said === 'string' || said === undefined ? said : JSON.stringify(said))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
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

/** Who the stand-in knows. */
export const standInUser = { user: 'mooring', project: 'nfv', password } as const

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
