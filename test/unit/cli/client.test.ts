import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { Type } from 'typebox'
import { type Client, type ClientDeps, createClient } from '../../../cli/client.ts'
import { OperatorView, TokenCreated, VmView } from '../../../shared/api/operator.ts'
import { Secret } from '../../../shared/secret.ts'
import { createFakeClock, type FakeClock } from '../../fakes/clock.ts'
import { me, vmSample } from './samples.ts'
import { createStandIn, refuse, type StandIn } from './stand-in.ts'

function clientOf(
  t: Test,
  standIn: StandIn,
  over: Partial<ClientDeps> = {},
): { client: Client; clock: FakeClock } {
  const clock = createFakeClock()
  const client = createClient({
    server: new URL(standIn.url),
    ca: standIn.authority.trusted,
    token: new Secret('token-1'),
    clock,
    random: () => 0,
    signal: new AbortController().signal,
    ...over,
  })
  t.teardown(() => client.close())
  return { client, clock }
}

t.test('a request carries the credential and the query, and its answer is checked', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('GET /v1/vms', () => [vmSample()])
  const { client } = clientOf(t, standIn)
  const query = { pool: 'web', other: undefined }
  t.match(await client.call('GET', '/v1/vms', Type.Array(VmView), { query }), [{ id: 'vm-0a1b2c' }])
  t.match(standIn.seen, [{ authorization: 'Bearer token-1', query: { pool: 'web' } }])
  t.notOk('other' in (standIn.seen[0]?.query ?? {}))
})

t.test('a busy controller is asked again, no sooner than it said', async (t) => {
  const standIn = await createStandIn(t)
  let busy = 2
  standIn.on('GET /v1/whoami', () => (busy-- > 0 ? refuse('UNAVAILABLE', 'starting', 7) : me))
  const { client, clock } = clientOf(t, standIn)
  const answer = client.call('GET', '/v1/whoami', OperatorView)
  for (const expected of [1, 2]) {
    await clock.untilSleeping()
    await clock.advance(6999)
    t.equal(standIn.seen.length, expected, 'not before its time')
    await clock.advance(1)
  }
  t.equal((await answer).name, 'ada')
})

t.test('it gives up after a few times, and at once when told to come back much later', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('GET /v1/whoami', () => refuse('RATE_LIMITED'))
  standIn.on('GET /v1/pools', () => refuse('UNAVAILABLE', 'upgrading', 3600))
  const { client, clock } = clientOf(t, standIn)
  const refused = t.rejects(client.call('GET', '/v1/whoami', OperatorView), { code: 'RATE_LIMITED' })
  for (let i = 0; i < 3; i += 1) {
    await clock.untilSleeping()
    await clock.advance(60_000)
  }
  await refused
  t.equal(standIn.seen.length, 4)
  await t.rejects(client.call('GET', '/v1/pools', Type.Array(Type.Unknown())), {
    retryAfterSeconds: 3600,
    code: 'UNAVAILABLE',
  })
})

t.test('what would do harm twice is sent once', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('POST /v1/tokens', () => refuse('UNAVAILABLE'))
  const { client } = clientOf(t, standIn)
  await t.rejects(client.call('POST', '/v1/tokens', TokenCreated, { body: { pool: 'web' } }), {
    code: 'UNAVAILABLE',
  })
  t.equal(standIn.seen.length, 1)
})

t.test('a controller with another authority gets nothing', async (t) => {
  const standIn = await createStandIn(t)
  const { authority: other } = await createStandIn(t, { folder: 'other' })
  const { client } = clientOf(t, standIn, { ca: other.trusted })
  const failed = client.call('POST', '/v1/tokens', TokenCreated, { body: { pool: 'web' } })
  await t.rejects(failed, { code: 'CONTROLLER_UNTRUSTED' })
  t.same(standIn.seen, [])
})

t.test('a name that is not in the certificate is refused', async (t) => {
  const standIn = await createStandIn(t, { addresses: ['192.0.2.1'] })
  const { client } = clientOf(t, standIn)
  const failed = client.call('POST', '/v1/tokens', TokenCreated, { body: { pool: 'web' } })
  await t.rejects(failed, { code: 'CONTROLLER_UNTRUSTED' })
  t.same(standIn.seen, [])
})

t.test('an answer without end is cut off, and one that does not come is not waited for', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on(
    'POST /v1/tokens',
    () => (response: { writeHead(s: number, h: object): void; write(t: string): void }) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('x'.repeat(5000))
    },
  )
  standIn.on('POST /v1/operators', () => () => {})
  const big = clientOf(t, standIn, { maxBytes: 1000 })
  await t.rejects(big.client.call('POST', '/v1/tokens', TokenCreated, { body: { pool: 'web' } }), {
    code: 'CONTROLLER_UNREACHABLE',
  })
  const slow = clientOf(t, standIn, { timeoutMs: 50 })
  const body = { name: 'bo', role: 'viewer' }
  await t.rejects(slow.client.call('POST', '/v1/operators', OperatorView, { body }), {
    code: 'CONTROLLER_UNREACHABLE',
  })
})

t.test('nothing listening, and something that speaks no TLS, are told apart', async (t) => {
  const standIn = await createStandIn(t)
  const plain = createServer((socket) => {
    socket.on('error', () => {})
    socket.resume()
    socket.end('HTTP/1.1 200 OK\r\n\r\n')
  })
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
  const { port } = plain.address() as AddressInfo
  const server = new URL(`https://127.0.0.1:${port}`)
  const { client } = clientOf(t, standIn, { server })
  const ask = () => client.call('POST', '/v1/tokens', TokenCreated, { body: {} })
  await t.rejects(ask(), { code: 'CONTROLLER_UNREACHABLE', detail: /does not speak TLS/ })
  await new Promise((resolve) => plain.close(resolve))
  await t.rejects(ask(), { code: 'CONTROLLER_UNREACHABLE', detail: /nothing listens there/ })
})

t.test('events come as they are sent, until the stream ends or is silent for too long', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on(
    'GET /v1/vms/events',
    ({ query }) =>
      (response: { writeHead(s: number, h: object): void; write(t: string): void; end(): void }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(': hello\n\nevent: vm\ndata: {"a":1}\n\n')
        if (query.pool === 'ends') response.end()
      },
  )
  const never = new AbortController().signal
  const read = async (pool: string, silenceMs?: number) => {
    const { client } = clientOf(t, standIn, silenceMs === undefined ? {} : { silenceMs })
    const events = []
    for await (const event of client.events('/v1/vms/events', { query: { pool } }, never)) events.push(event)
    return events
  }
  t.same(await read('ends'), [{ event: 'vm', data: '{"a":1}' }])
  await t.rejects(read('silent', 100), { code: 'CONTROLLER_UNREACHABLE', detail: /nothing was heard/ })
})

t.test('a stream that is refused says why', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('GET /v1/vms/events', () => refuse('FORBIDDEN', 'viewer'))
  const { client } = clientOf(t, standIn)
  const events = client.events('/v1/vms/events', {}, new AbortController().signal)
  await t.rejects(
    (async () => {
      for await (const event of events) t.fail(`there is no event, but ${event.event}`)
    })(),
    { code: 'FORBIDDEN' },
  )
})
