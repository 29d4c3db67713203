import { connect as connectPlain, type Socket } from 'node:net'
import { connect } from 'node:tls'
import t from 'tap'
import { WebSocket } from 'ws'
import { limits } from '../../../shared/api/wire.ts'
import { type Answer, makeAgentKey, send } from '../../fakes/agent.ts'
import { loopbackPool, startController, type TestController } from '../../fakes/controller.ts'

interface Problem {
  readonly code: string
  readonly status: number
  readonly detail?: string
  readonly instance: string
}

async function setUp(t: { teardown(fn: () => Promise<void>): void }, config = {}): Promise<TestController> {
  const house = await startController({ config })
  t.teardown(() => house.close())
  await house.applyPool('web')
  return house
}

/** Bytes over a TLS connection of their own; what came back until it was closed. */
function raw(house: TestController, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port: Number(new URL(house.url).port),
      host: '127.0.0.1',
      ca: house.announcement.ca,
    })
    let answer = ''
    socket.on('data', (data) => {
      answer += data.toString()
    })
    socket.on('secureConnect', () => socket.write(text))
    socket.on('close', () => resolve(answer))
    socket.on('error', (error) => (answer === '' ? reject(error) : resolve(answer)))
  })
}

function closedByOther(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => {})
    socket.on('close', () => resolve())
    socket.resume()
  })
}

t.test('what does not fit is refused with the name of the field', async (t) => {
  const house = await setUp(t)
  const put = async (body: unknown) => (await house.call<Problem>('PUT', '/v1/pools/web', body)).json()
  const { namespace: _, ...less } = loopbackPool
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [less, /body must have required property .namespace/],
    [{ ...loopbackPool, namespace: 5 }, /body\/namespace must be string/],
    [{ ...loopbackPool, nmaespace: 'x' }, /nmaespace/],
    [{ ...loopbackPool, probe: { tcp: { port: 80, prot: 1 } } }, /prot/],
    [{ ...loopbackPool, namespace: 'istio-system' }, /istio-system/],
    [{ ...loopbackPool, join: { methods: ['token'], cidrs: ['10.0.0.0/99'] } }, /join\/cidrs/],
    [{ ...loopbackPool, join: { methods: ['magic'], cidrs: [] } }, /join\/methods/],
    [[], /body must be object/],
    ['null', /body must be object/],
  ]
  for (const [body, detail] of cases) {
    const problem = await put(body)
    t.match(problem, { code: 'REQUEST_INVALID', status: 400 })
    t.match(problem.detail, detail)
    t.match(problem.instance, /^[0-9a-f]{16}$/)
  }
  for (const name of ['UPPER', 'a'.repeat(64), '-x', 'a.b', '%00', '..%2f..']) {
    const { status, text } = await house.call('PUT', `/v1/pools/${name}`, loopbackPool)
    t.equal(status, 400, name)
    t.match(text, 'params/name')
  }
  t.match((await house.call('GET', '/v1/audit?limit=0')).text, 'querystring/limit')
  t.match((await house.call('GET', '/v1/audit?limit=x')).text, 'querystring/limit')
  t.match((await house.call('GET', '/v1/audit?limti=5')).text, 'limti')
})

t.test('a secret in the wrong place is not repeated', async (t) => {
  const house = await setUp(t)
  const secret = 'mrj_very-secret-value'
  const answer = await house.call('POST', '/v1/join', {
    wire: 1,
    pool: 5,
    evidence: { method: 'token', token: [secret] },
  })
  t.equal(answer.status, 400)
  t.notMatch(answer.text, secret)
})

t.test('what is no JSON, or says it is something else, or is too much', async (t) => {
  const house = await setUp(t)
  const post = (body: string, headers = {}): Promise<Answer<Problem>> =>
    send(house.url, { ca: house.announcement.ca }, 'POST', '/v1/join', body, headers)
  for (const body of ['{', '', '{"a":1}}', '{"__proto__":{"x":1}}', '\u0000']) {
    const answer = await post(body)
    t.match(answer.headers['content-type'], 'application/problem+json', JSON.stringify(body))
    t.same([answer.status, answer.json().code], [400, 'REQUEST_INVALID'], JSON.stringify(body))
  }
  for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'nonsense']) {
    const answer = await post('{}', { 'content-type': type })
    t.same([answer.status, answer.json().code], [415, 'MEDIA_TYPE_UNSUPPORTED'], type)
  }
  const large = await post(`{"x":"${'x'.repeat(limits.join)}"}`)
  t.same([large.status, large.json().code], [413, 'REQUEST_TOO_LARGE'])
  const larger = await house.call<Problem>('PUT', '/v1/pools/web', { x: 'x'.repeat(limits.operator) })
  t.same([larger.status, larger.json().code], [413, 'REQUEST_TOO_LARGE'])
  const absent = await house.call<Problem>('GET', '/v1/nothing/here?token=secret')
  t.same([absent.status, absent.json().code], [404, 'NOT_FOUND'])
  t.notMatch(absent.text, 'secret')
  t.equal((await house.call('GET', '/healthz')).status, 200)
})

t.test('what is no HTTP, or too much of it, gets a problem and a closed connection', async (t) => {
  const house = await setUp(t)
  t.match(await raw(house, 'nonsense\r\n\r\n'), /^HTTP\/1\.1 400[\s\S]*REQUEST_INVALID/)
  const header = `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`
  t.match(await raw(house, header), /^HTTP\/1\.1 431[\s\S]*REQUEST_TOO_LARGE/)
  const chunked =
    'POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
  const smuggled = chunked.replace('\r\n\r\n', '\r\nContent-Length: 5\r\n\r\n0\r\n\r\n')
  t.match(await raw(house, smuggled), /^HTTP\/1\.1 400/, 'two ways to say how long it is')
  const flood = `${chunked}10000\r\n${'x'.repeat(0x10000)}\r\n0\r\n\r\n`
  t.match(await raw(house, flood), /^HTTP\/1\.1 413/, 'chunks are counted')
  t.equal((await house.call('GET', '/healthz')).status, 200)
})

t.test('slow clients are cut off', async (t) => {
  // Long enough for who is not slow, on a machine that is; so all are slow at the same time.
  const house = await setUp(t, { limits: { headerSeconds: 6, requestSeconds: 7, idleSeconds: 12 } })
  const port = Number(new URL(house.url).port)
  const half =
    'POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{'
  const [headers, body, idle] = await Promise.all([
    raw(house, 'GET /healthz HTTP/1.1\r\nHost: x\r\n'),
    raw(house, half),
    raw(house, 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'),
    closedByOther(connectPlain({ port, host: '127.0.0.1' })),
  ])
  t.match(headers, /^HTTP\/1\.1 408[\s\S]*in time/, 'no end of headers')
  t.match(body, /^HTTP\/1\.1 408/, 'no end of the body')
  t.match(idle, /^HTTP\/1\.1 200/, 'answered, and closed when nothing followed')
  t.equal((await house.call('GET', '/healthz')).status, 200)
})

t.test('answers carry the headers that keep browsers out of it', async (t) => {
  const house = await setUp(t)
  for (const path of ['/healthz', '/v1/pools', '/nowhere']) {
    const { headers } = await house.call('GET', path)
    t.equal(headers['x-content-type-options'], 'nosniff', path)
    t.equal(headers['cache-control'], 'no-store', path)
    t.match(headers['content-security-policy'], "default-src 'none'", path)
    t.ok(headers['strict-transport-security'], path)
    t.notOk(headers['x-powered-by'] ?? headers.server, path)
  }
})

t.test('an agent may say more than this controller knows, an operator may not', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  const request = await agent.joinRequest()
  const newer = { ...request, later: 'x', facts: { ...request.facts, more: { a: 1 } } }
  const answer = await send<{ vm: string }>(
    house.url,
    { ca: house.announcement.ca },
    'POST',
    '/v1/join',
    newer,
  )
  t.equal(answer.status, 200, answer.text.slice(0, 200))
  t.notMatch(JSON.stringify(await house.vms()), '"more"')
  const refused = await house.call<Problem>('POST', '/v1/tokens', { pool: 'web', later: 'x' })
  t.match(refused.json(), { code: 'REQUEST_INVALID', detail: /later/ })
})

t.test('streams: a message that is too large or binary ends it, and no other', async (t) => {
  const house = await setUp(t)
  const { token } = await house.token('web', { uses: 3 })
  const agents = await Promise.all(
    [1, 2, 3].map((i) => house.agent({ pool: 'web', token, address: `10.0.0.${i}` })),
  )
  for (const agent of agents) {
    await agent.join()
    await agent.open({ health: 'healthy' })
  }
  const [large, broken, good] = agents
  if (large === undefined || broken === undefined || good === undefined) return t.fail('three agents')
  large.send({ kind: 'facts', facts: { x: 'x'.repeat(limits.streamMessage) } })
  t.equal(await large.closed, 1009)
  broken.send('{"kind":"nonsense"}' as never)
  t.equal(await broken.closed, 4400)
  t.ok((await good.bundle()).revision)
  good.close()
  t.equal(await good.closed, 1000)
})

t.test('a stream without a certificate of this controller is refused before it is one', async (t) => {
  const house = await setUp(t)
  const foreign = await startController()
  t.teardown(() => foreign.close())
  await foreign.applyPool('web')
  const key = await makeAgentKey()
  const { token } = await foreign.token('web')
  const agent = await foreign.agent({ pool: 'web', token, key, address: '10.0.0.1' })
  const { certificate } = await agent.join()
  const status = (options: object) =>
    new Promise<number>((resolve, reject) => {
      const socket = new WebSocket(`${house.url.replace('https', 'wss')}/v1/stream`, {
        ca: house.announcement.ca,
        ...options,
      })
      socket.on('unexpected-response', (_request, response) => {
        resolve(response.statusCode ?? 0)
        response.resume()
      })
      socket.on('open', () => resolve(101))
      socket.on('error', reject)
    })
  t.equal(await status({}), 401, 'no certificate')
  t.equal(await status({ key: key.privatePem, cert: certificate }), 401, "another controller's certificate")
  t.equal(await status({ headers: { authorization: `Bearer ${house.admin}` } }), 401, "an operator's token")
})
