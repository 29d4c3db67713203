import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { createFakeClock } from '../../../fakes/clock.ts'
import { type CommandLineOptions, createCommandLine, environmentOf } from '../command-line.ts'
import { now, vmSample } from '../samples.ts'
import { createStandIn, refuse } from '../stand-in.ts'

/** A stand-in that streams: `send` writes an event to the connection that is open. */
async function streaming(t: Test, options: CommandLineOptions = {}) {
  const standIn = await createStandIn(t)
  const clock = createFakeClock(now)
  let open: ServerResponse | undefined
  let opened = () => {}
  standIn.on('GET /v1/vms/events', () => (response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    open = response
    opened()
  })
  const line = createCommandLine(t, { env: await environmentOf(t, standIn), clock, ...options })
  return {
    standIn,
    clock,
    line,
    connected: () =>
      new Promise<void>((resolve) => {
        opened = resolve
      }),
    send: (event: string, data: unknown) => open?.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
    end: () => open?.end(),
    async until(text: RegExp) {
      while (!text.test(line.written())) await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

t.test('elsewhere than on a terminal, one line a change, and none for what changes nothing', async (t) => {
  const { line, connected, send, until } = await streaming(t)
  const ready = connected()
  const watching = line.run('vm', 'watch', '--pool', 'web')
  await ready
  send('vm', vmSample())
  send('vm', vmSample({ lastHeard: now }))
  send('from-the-future', {})
  send('vm', { not: 'a vm' })
  send('vm', vmSample({ phase: 'lost' }))
  send('gone', { id: 'vm-0a1b2c' })
  await until(/gone/)
  line.interrupt()
  const { code, out } = await watching
  t.equal(code, 130)
  t.same(
    out
      .trimEnd()
      .split('\n')
      .map((text) => text.replace(/^\S+ /, '')),
    ['vm-0a1b2c web ready 10.0.0.7', 'vm-0a1b2c web lost 10.0.0.7', 'vm-0a1b2c gone'],
  )
})

t.test('a connection that ends is made anew, and who went meanwhile is gone', async (t) => {
  const { standIn, clock, line, connected, send, end, until } = await streaming(t)
  const first = connected()
  const watching = line.run('vm', 'watch', '--json')
  await first
  send('vm', vmSample())
  send('vm', vmSample({ id: 'vm-2' }))
  await until(/vm-2/)
  standIn.on('GET /v1/vms', () => [vmSample({ id: 'vm-2' })])
  const second = connected()
  end()
  await clock.untilSleeping()
  await clock.advance(15_000)
  await second
  send('vm', vmSample({ id: 'vm-3' }))
  await until(/vm-3/)
  line.interrupt()
  const { out, err } = await watching
  const changes = out
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text) as { event: string; vm?: { id: string }; id?: string })
  t.same(
    changes.map((change) => [change.event, change.vm?.id ?? change.id]),
    [
      ['vm', 'vm-0a1b2c'],
      ['vm', 'vm-2'],
      ['gone', 'vm-0a1b2c'],
      ['vm', 'vm-3'],
    ],
  )
  t.match(err, /connection lost \(the controller ended the stream\)/)
})

t.test('on a terminal, a table that is drawn in place', async (t) => {
  const { clock, line, connected, send, until } = await streaming(t, { tty: true })
  const ready = connected()
  const watching = line.run('vm', 'watch')
  await ready
  t.match(line.written(), /No VMs\./)
  send('vm', vmSample())
  for (;;) {
    await clock.untilSleeping()
    await clock.advance(1000)
    if (/vm-0a1b2c/.test(line.written())) break
  }
  await until(/vm-0a1b2c +web +ready/)
  line.interrupt()
  const { code, out } = await watching
  t.equal(code, 130)
  t.ok(out.includes('\u001b[1A\r\u001b[J'), 'the first frame, one line, is drawn over')
})

t.test('what a new connection would not mend ends it', async (t) => {
  const { standIn, line } = await streaming(t)
  standIn.on('GET /v1/vms/events', () => refuse('FORBIDDEN', 'viewer'))
  t.match(await line.run('vm', 'watch'), { code: 3, err: /error FORBIDDEN/ })
})
