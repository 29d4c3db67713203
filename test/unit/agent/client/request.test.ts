import { createServer as createTcpServer } from 'node:net'
import t from 'tap'
import { createTransport } from '../../../../agent/client/request.ts'
import { systemClock as clock } from '../../../../shared/clock.ts'
import { createTestAuthority } from '../../../fakes/authority.ts'
import { createFakeController } from '../../../fakes/stand-in-controller.ts'

const authority = await createTestAuthority()
const transport = createTransport({ clock })
const base = {
  method: 'GET',
  ca: authority.certificate,
  timeoutMs: 10_000,
  signal: new AbortController().signal,
} as const

t.test('an answer comes with status, headers and body; connections are kept and closed', async (t) => {
  const controller = await createFakeController({ authority })
  t.teardown(() => controller.close())
  for (let n = 0; n < 2; n += 1) {
    const answer = await transport.send({ ...base, url: new URL('/v1/challenge', controller.url) })
    t.equal(answer.status, 200)
    t.equal(answer.headers['content-type'], 'application/json')
    let text = ''
    for await (const part of answer.body) text += Buffer.from(part).toString()
    t.match(JSON.parse(text), { wire: 1 })
  }
  transport.close()
  await controller.close()
  t.pass('nothing holds the server')
})

t.test('failures have a code', async (t) => {
  const controller = await createFakeController({ authority })
  t.teardown(() => controller.close())
  const url = new URL('/v1/challenge', controller.url)
  const other = await createTestAuthority()
  await t.rejects(transport.send({ ...base, url, ca: other.certificate }), { code: 'CONTROLLER_UNTRUSTED' })
  t.same(controller.requests, [])
  await controller.close()
  await t.rejects(transport.send({ ...base, url }), { code: 'CONTROLLER_UNREACHABLE' })
})

t.test('a server that says nothing is given up; an abort is not mistaken for it', async (t) => {
  const silent = createTcpServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  const { port } = silent.address() as { port: number }
  const url = new URL(`https://127.0.0.1:${port}/`)
  await t.rejects(transport.send({ ...base, url, timeoutMs: 30 }), {
    code: 'CONTROLLER_UNREACHABLE',
    detail: /did not answer within/,
  })
  const abort = new AbortController()
  const aborted = transport.send({ ...base, url, signal: abort.signal })
  abort.abort(new Error('stop'))
  await t.rejects(aborted, { message: 'stop' })
  await t.rejects(transport.send({ ...base, url, signal: abort.signal }), { message: 'stop' })
})
