import { Agent, get } from 'node:https'
import type { TLSSocket } from 'node:tls'
import t from 'tap'
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import type { RouteRule } from '../../../controller/server.ts'
import {
  AuditRecord,
  type OperatorCreated,
  OperatorView,
  PoolView,
  type Role,
  roles,
  TokenView,
  VmExplanation,
  VmView,
} from '../../../shared/api/operator.ts'
import { loopbackPool, startController, type TestController } from '../../fakes/controller.ts'

/** What each route is sent so that only authorisation can refuse it. A new route without a line here fails. */
function requests(seeds: Seeds): Record<string, { readonly path: string; readonly body?: unknown }> {
  const { vm, token } = seeds
  return {
    'GET /v1/challenge': { path: '/v1/challenge' },
    'POST /v1/join': { path: '/v1/join', body: {} },
    'GET /v1/bundle': { path: '/v1/bundle' },
    'GET /v1/stream': { path: '/v1/stream' },
    'GET /v1/sidecar/:sha256': { path: `/v1/sidecar/${'0'.repeat(64)}` },
    'POST /v1/enrol': { path: '/v1/enrol', body: {} },
    'GET /v1/whoami': { path: '/v1/whoami' },
    'GET /v1/operators': { path: '/v1/operators' },
    'POST /v1/operators': { path: '/v1/operators', body: { name: 'made', role: 'viewer' } },
    'DELETE /v1/operators/:name': { path: '/v1/operators/absent' },
    'POST /v1/operators/:name/certificate': {
      path: '/v1/operators/absent/certificate',
      body: { password: 'long enough' },
    },
    'DELETE /v1/operators/:name/certificate': { path: '/v1/operators/absent/certificate' },
    'GET /v1/pools': { path: '/v1/pools' },
    'GET /v1/pools/:name': { path: '/v1/pools/web' },
    'PUT /v1/pools/:name': { path: '/v1/pools/web', body: loopbackPool },
    'DELETE /v1/pools/:name': { path: '/v1/pools/web' },
    'GET /v1/tokens': { path: '/v1/tokens' },
    'POST /v1/tokens': { path: '/v1/tokens', body: { pool: 'web' } },
    'DELETE /v1/tokens/:id': { path: `/v1/tokens/${token}` },
    'GET /v1/vms/events': { path: '/v1/vms/events' },
    'GET /v1/vms': { path: '/v1/vms' },
    'GET /v1/vms/:id': { path: `/v1/vms/${vm}` },
    'GET /v1/vms/:id/explanation': { path: `/v1/vms/${vm}/explanation` },
    'POST /v1/vms/:id/drain': { path: `/v1/vms/${vm}/drain`, body: { after: 'hold' } },
    'DELETE /v1/vms/:id': { path: `/v1/vms/${vm}` },
    'GET /v1/artifacts': { path: '/v1/artifacts' },
    'PUT /v1/artifacts/:sha256': {
      path: `/v1/artifacts/${'0'.repeat(64)}?version=1&arch=amd64&size=9&offset=0`,
    },
    'DELETE /v1/artifacts/:sha256': { path: `/v1/artifacts/${'0'.repeat(64)}` },
    'GET /v1/injections': { path: '/v1/injections' },
    'GET /v1/injections/:id': { path: '/v1/injections/inj-absent' },
    'POST /v1/injections': {
      path: '/v1/injections',
      body: { pool: 'web', credential: 'absent', targets: [{ host: '127.0.0.1' }] },
    },
    'GET /v1/audit': { path: '/v1/audit' },
    'GET /healthz': { path: '/healthz' },
    'GET /readyz': { path: '/readyz' },
    'GET /metrics': { path: '/metrics' },
    'GET /openapi.json': { path: '/openapi.json' },
  }
}

interface Seeds {
  readonly vm: string
  readonly token: string
}

async function setUp(t: { teardown(fn: () => Promise<void>): void }) {
  const house = await startController()
  t.teardown(() => house.close())
  await house.applyPool('web')
  await house.applyPool('db', { serviceAccount: 'db' })
  const { id, token } = await house.token('web', { uses: 5 })
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  await agent.join()
  const operator = async (name: string, role: Role, pools: string[]) => {
    const made = await house.call<OperatorCreated>('POST', '/v1/operators', { name, role, pools })
    return made.json().token
  }
  return { house, agent, operator, of: requests({ vm: agent.vm, token: id }) }
}

const keyOf = ({ method, url }: RouteRule) => `${method} ${url}`

function problem(answer: { readonly text: string }): string {
  return (JSON.parse(answer.text) as { code: string }).code
}

t.test('every route has a request in this test, and a rule', async (t) => {
  const { house, of } = await setUp(t)
  t.same(house.controller.server.rules.map(keyOf).toSorted(), Object.keys(of).toSorted())
})

t.test('nobody gets through without a credential, or with one that is not ours', async (t) => {
  const { house, of } = await setUp(t)
  const stranger = await house.agent({ pool: 'web', address: '10.0.0.9' })
  for (const rule of house.controller.server.rules) {
    const { path, body } = of[keyOf(rule)] ?? { path: '' }
    if (rule.access.by === 'anyone') {
      const answer = await house.call(rule.method, path, body, { token: '' })
      t.not(answer.status, 401, `${keyOf(rule)} is for anyone`)
      continue
    }
    for (const token of ['', 'mro_made-up', house.admin.slice(0, -1)]) {
      const answer = await house.call(rule.method, path, body, { token })
      t.same(
        [answer.status, problem(answer)],
        [401, 'UNAUTHENTICATED'],
        `${keyOf(rule)} with "${token.slice(0, 8)}"`,
      )
      t.equal(answer.headers['www-authenticate'], 'Bearer')
    }
    const answer = await stranger.call(rule.method, path)
    t.equal(answer.status, 401, `${keyOf(rule)} without a certificate`)
  }
})

t.test(
  "an operator's token opens no agents' route, and an agent's certificate no operators' one",
  async (t) => {
    const { house, of, agent } = await setUp(t)
    for (const rule of house.controller.server.rules) {
      const { path } = of[keyOf(rule)] ?? { path: '' }
      if (rule.access.by === 'agent') {
        t.equal((await house.call(rule.method, path)).status, 401, keyOf(rule))
      }
      if (rule.access.by === 'operator') {
        t.equal((await agent.call(rule.method, path)).status, 401, keyOf(rule))
      }
    }
  },
)

t.test('a resumed TLS session is the same agent, and a removal counts at once', async (t) => {
  const { house, agent } = await setUp(t)
  const pool = new Agent({ keepAlive: false, maxCachedSessions: 10 })
  const ask = () =>
    new Promise<{ status: number; resumed: boolean }>((resolve, reject) => {
      const options = {
        ca: house.announcement.ca,
        key: agent.key.privatePem,
        cert: agent.joined?.certificate,
        agent: pool,
      }
      get(`${house.url}/v1/bundle`, options, (response) => {
        const resumed = (response.socket as TLSSocket).isSessionReused()
        response.resume()
        response.on('end', () => resolve({ status: response.statusCode ?? 0, resumed }))
      }).on('error', reject)
    })
  t.same(await ask(), { status: 200, resumed: false })
  t.same(await ask(), { status: 200, resumed: true })
  await house.call('DELETE', `/v1/vms/${agent.vm}?now=true`)
  t.same(await ask(), { status: 403, resumed: true })
})

t.test('a role that is too small is refused, and that is written down', async (t) => {
  const { house, of, operator } = await setUp(t)
  const tokens = {
    viewer: await operator('vi', 'viewer', ['*']),
    operator: await operator('op', 'operator', ['*']),
  }
  let refused = 0
  for (const rule of house.controller.server.rules) {
    if (rule.access.by !== 'operator') continue
    const { path, body } = of[keyOf(rule)] ?? { path: '' }
    for (const role of ['viewer', 'operator'] as const) {
      if (roles.indexOf(role) >= roles.indexOf(rule.access.role)) continue
      const answer = await house.call(rule.method, path, body, { token: tokens[role] })
      t.same([answer.status, problem(answer)], [403, 'FORBIDDEN'], `${keyOf(rule)} as ${role}`)
      t.match(JSON.parse(answer.text).detail, rule.access.role)
      refused += 1
    }
  }
  const records = (
    await house.call<{ outcome: string; code?: string }[]>('GET', '/v1/audit?limit=1000')
  ).json()
  t.equal(records.filter((r) => r.outcome === 'denied' && r.code === 'FORBIDDEN').length, refused)
  t.equal((await house.vms()).length, 1, 'nothing was done')
})

t.test('a grant of another pool is refused, or shows nothing', async (t) => {
  const { house, of, operator } = await setUp(t)
  const token = await operator('dba', 'admin', ['db'])
  const wanted: Record<string, readonly [number, string]> = {
    all: [403, 'FORBIDDEN'],
    path: [403, 'FORBIDDEN'],
    body: [403, 'FORBIDDEN'],
    vm: [404, 'NOT_FOUND'],
    token: [404, 'NOT_FOUND'],
  }
  for (const rule of house.controller.server.rules) {
    if (rule.access.by !== 'operator') continue
    const { path, body } = of[keyOf(rule)] ?? { path: '' }
    const expected = wanted[rule.access.pool]
    if (expected !== undefined) {
      const answer = await house.call(rule.method, path, body, { token })
      t.same([answer.status, problem(answer)], expected, keyOf(rule))
    } else if (rule.access.pool === 'listed' && path !== '/v1/vms/events') {
      const answer = await house.call<unknown[]>(rule.method, path, body, { token })
      t.notMatch(answer.text, /"web"/, `${keyOf(rule)} shows nothing of it`)
    }
  }
  t.equal((await house.call('GET', '/v1/pools/web')).status, 200, 'it is still there')
})

t.test('the right role and grant get through, with an answer as described', async (t) => {
  const { house, of, operator } = await setUp(t)
  const admin = await operator('weber', 'admin', ['web'])
  const answers: Record<string, TSchema> = {
    'GET /v1/whoami': OperatorView,
    'GET /v1/pools/:name': PoolView,
    'PUT /v1/pools/:name': PoolView,
    'GET /v1/vms/:id': VmView,
    'GET /v1/vms/:id/explanation': VmExplanation,
    'POST /v1/vms/:id/drain': VmView,
  }
  // What they ask for is not there: they are let through, and told so.
  const absent: Record<string, string> = {
    'GET /v1/injections/:id': 'NOT_FOUND',
    'POST /v1/injections': 'NOT_FOUND',
  }
  for (const rule of house.controller.server.rules) {
    const key = keyOf(rule)
    const { path, body } = of[key] ?? { path: '' }
    if (rule.access.by !== 'operator' || rule.access.pool === 'all' || path === '/v1/vms/events') continue
    if (rule.method === 'DELETE') continue
    const answer = await house.call(rule.method, path, body, { token: admin })
    if (absent[key] !== undefined) {
      t.equal(problem(answer), absent[key], key)
      continue
    }
    t.ok(answer.status < 300, `${key}: ${answer.status} ${answer.text.slice(0, 200)}`)
    const schema = answers[key]
    if (schema !== undefined)
      t.same([...Value.Errors(schema, answer.json())], [], `${key} answers as described`)
  }
  const listed = {
    '/v1/operators': OperatorView,
    '/v1/pools': PoolView,
    '/v1/tokens': TokenView,
    '/v1/vms': VmView,
    '/v1/audit': AuditRecord,
  }
  for (const [path, schema] of Object.entries(listed)) {
    const list = (await house.call<unknown[]>('GET', path)).json()
    t.ok(list.length > 0, path)
    for (const one of list) t.same([...Value.Errors(schema, one)], [], path)
    t.notMatch(JSON.stringify(list), /"hash"|mr[oje]_/, `${path} shows no secret and no hash of one`)
  }
})

t.test('too many failures of one source are slowed down; who has a credential is not', async (t) => {
  const house: TestController = await startController({
    config: { limits: { failuresPerMinute: 5, enrolmentsPerMinute: 3 } },
  })
  t.teardown(() => house.close())
  const codes: number[] = []
  for (let i = 0; i < 8; i += 1)
    codes.push((await house.call('GET', '/v1/pools', undefined, { token: 'mro_guess' })).status)
  t.same(codes, [401, 401, 401, 401, 401, 429, 429, 429])
  const limited = await house.call('GET', '/v1/pools', undefined, { token: 'mro_guess' })
  t.equal(problem(limited), 'RATE_LIMITED')
  t.ok(Number(limited.headers['retry-after']) > 0)
  t.equal((await house.call('GET', '/v1/pools')).status, 200)
  const enrol = () =>
    house.call('POST', '/v1/enrol', { code: 'mre_guess-guess-guess', name: 'eve' }, { token: '' })
  const tries = [await enrol(), await enrol(), await enrol(), await enrol()].map((answer) => answer.status)
  t.same(tries, [401, 401, 429, 429], 'the first of them was the administrator')
})
