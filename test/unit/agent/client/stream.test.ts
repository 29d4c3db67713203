import t from 'tap'
import type { Socket, SocketEvents, SocketOptions } from '../../../../agent/client/socket.ts'
import { createStream, type DownMessage } from '../../../../agent/client/stream.ts'
import { closeCodes } from '../../../../shared/api/stream.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const welcome = {
  kind: 'welcome',
  wire: 1,
  epoch: 1,
  heartbeatMs: 2_000,
  lostAfterMs: 5_000,
  bundleRevision: 'r1',
  now: 1,
}

function scene() {
  const clock = createFakeClock()
  const links: {
    options: SocketOptions
    events: SocketEvents
    sent: string[]
    pings: number
    isOver: boolean
  }[] = []
  const heard: DownMessage[] = []
  let renewals = 0
  const stream = createStream({
    url: new URL('https://c:8443'),
    trust: { authorities: async () => 'CA', distrusted() {} },
    open(options, events): Socket {
      const link = { options, events, sent: [] as string[], pings: 0, isOver: false }
      links.push(link)
      return {
        send: (text) => link.sent.push(text),
        ping: () => {
          link.pings += 1
        },
        terminate() {
          if (link.isOver) return
          link.isOver = true
          events.closed(1006, undefined)
        },
      }
    },
    identity: () => ({
      privateKey: 'KEY',
      identity: {
        ...{ vm: 'vm-1', pool: 'web', certificate: 'CERT', controllerCa: 'KNOWN' },
        ...{ certificateFrom: 0, certificateUntil: 1, joinedAt: 0 },
      },
    }),
    hello: () => ({
      kind: 'hello',
      wire: 1,
      agentVersion: '1',
      bootId: 'b',
      status: { health: 'unknown', conditions: [], bundleRevision: '', sidecarRestarts: 0 },
    }),
    renew: async () => {
      renewals += 1
    },
    clock,
    log: silentLog,
    random: () => 0.999,
  })
  stream.onMessage((message) => heard.push(message))
  const abort = new AbortController()
  const ended = stream.run(abort.signal)
  const link = async (index: number) => {
    while (links[index] === undefined) await new Promise((resolve) => setImmediate(resolve))
    return links[index]
  }
  const open = async (index: number) => {
    const found = await link(index)
    found.events.open()
    found.events.message(JSON.stringify(welcome))
    return found
  }
  return { stream, clock, links, heard, link, open, abort, ended, renewals: () => renewals }
}

t.test('hello, welcome, heartbeats on their beat, status', async (t) => {
  const { stream, clock, heard, link, open, abort, ended } = scene()
  const { options } = await link(0)
  t.match(options, { ca: 'CA', credentials: { key: 'KEY', certificate: 'CERT' } })
  t.equal(options.url.href, 'wss://c:8443/v1/stream')
  t.equal(stream.connected, false)
  t.equal(stream.send({ kind: 'left' }), false, 'nothing is sent before the welcome')
  const first = await open(0)
  t.equal(stream.connected, true)
  t.equal(stream.trouble, undefined)
  t.match(heard, [{ kind: 'welcome' }])
  for (let n = 0; n < 3; n += 1) {
    await clock.advance(2_000)
    first.events.pong()
  }
  t.same(
    first.sent.map((text) => JSON.parse(text).kind),
    ['hello', 'heartbeat', 'heartbeat', 'heartbeat'],
  )
  t.equal(first.pings, 3)
  t.equal(stream.send({ kind: 'left' }), true)
  abort.abort()
  t.equal(await ended, 'aborted')
  t.equal(stream.connected, false)
})

t.test('a machine that slept sends one heartbeat, not all that it missed', async (t) => {
  const { clock, open, abort, ended } = scene()
  const first = await open(0)
  await clock.advance(2_000)
  first.events.pong()
  // What a sleep does: time passes and no timer fires.
  const { now } = clock
  clock.now = () => now() + 3_000
  first.events.pong()
  await clock.advance(2_000)
  t.equal(first.sent.filter((text) => text.includes('heartbeat')).length, 2)
  abort.abort()
  await ended
})

t.test('a silent controller is left', async (t) => {
  const { clock, open, link, abort, ended } = scene()
  const first = await open(0)
  await clock.advance(9_000)
  t.ok(first.isOver)
  await clock.advance(200)
  await link(1)
  abort.abort()
  t.equal(await ended, 'aborted')
})

t.test('a connection that brings no welcome is left', async (t) => {
  const { clock, link, abort, ended } = scene()
  const first = await link(0)
  first.events.open()
  await clock.advance(10_000)
  t.ok(first.isOver)
  abort.abort()
  await ended
})

t.test('kinds that this agent does not know, nonsense and giants are ignored', async (t) => {
  const { heard, open, abort, ended } = scene()
  const { events } = await open(0)
  for (const text of ['{"kind":"sing"}', 'no json', '{"kind":"refresh"}', 'x'.repeat(100_000)])
    events.message(text)
  events.message('{"kind":"refresh","bundleRevision":"r2"}')
  t.same(
    heard.map(({ kind }) => kind),
    ['welcome', 'refresh'],
  )
  abort.abort()
  await ended
})

t.test('a refused certificate is renewed, a revoked key ends it', async (t) => {
  const { clock, link, renewals, ended, stream } = scene()
  const first = await link(0)
  first.isOver = true
  first.events.closed(1006, new MooringError('UNAUTHENTICATED'))
  await clock.untilSleeping()
  await clock.advance(200)
  const second = await link(1)
  t.equal(renewals(), 1)
  second.isOver = true
  second.events.closed(closeCodes.revoked, undefined)
  t.equal(await ended, 'revoked')
  t.match(stream.trouble, /does not accept the key/)
})

t.test('a welcome of another age ends the connection', async (t) => {
  const { link, abort, ended, heard } = scene()
  const first = await link(0)
  first.events.open()
  first.events.message(JSON.stringify({ ...welcome, wire: 9 }))
  t.ok(first.isOver)
  t.same(heard, [])
  abort.abort()
  await ended
})
