import { once } from 'node:events'
import { createServer as createHttp, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { createProbe } from '../../../../agent/health/probes.ts'

const { signal } = new AbortController()
const probe = createProbe()

async function listen(t: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const http = (t: Test, listener: RequestListener) => listen(t, createHttp(listener))

t.test('2xx and 3xx are well, everything else is not', async (t) => {
  let status = 200
  const paths: string[] = []
  const port = await http(t, (request, response) => {
    paths.push(`${request.method} ${request.url}`)
    response.statusCode = status
    response.end('body')
  })
  for (const [given, ok] of [
    [200, true],
    [204, true],
    [302, true],
    [399, true],
    [400, false],
    [503, false],
  ] as const) {
    status = given
    const result = await probe({ http: { path: '/health?x=1', port }, timeoutSeconds: 30 }, signal)
    t.same(result, { ok, detail: `127.0.0.1:${port}/health?x=1 answered ${given}` })
  }
  t.equal(paths[0], 'GET /health?x=1')
})

t.test('each probe is a connection of its own', async (t) => {
  let connections = 0
  const server = createHttp((_request, response) => response.end())
  server.on('connection', () => {
    connections += 1
  })
  const port = await listen(t, server)
  for (let i = 0; i < 3; i += 1) await probe({ http: { path: '/', port }, timeoutSeconds: 30 }, signal)
  t.equal(connections, 3)
})

t.test('an application that accepts and says nothing is given up in time', async (t) => {
  const port = await listen(
    t,
    createTcp(() => {}),
  )
  const result = await probe({ http: { path: '/', port }, timeoutSeconds: 0.1 }, signal)
  t.same(result, { ok: false, detail: `127.0.0.1:${port}/ did not answer in time` })
  t.match(await probe({ tcp: { port }, timeoutSeconds: 30 }, signal), {
    ok: true,
    detail: /accepts connections/,
  })
})

t.test('an endless answer is not read to its end', async (t) => {
  const port = await http(t, (_request, response) => {
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
    }
    response.on('drain', more)
    more()
  })
  t.match(await probe({ http: { path: '/', port }, timeoutSeconds: 30 }, signal), { ok: true })
})

t.test('what does not listen or does not speak HTTP is said in words', async (t) => {
  const port = await listen(
    t,
    createTcp((socket) => socket.end('garbage\r\n\r\n')),
  )
  t.match(await probe({ http: { path: '/', port }, timeoutSeconds: 30 }, signal), {
    ok: false,
    detail: /failed/,
  })
  t.match(await probe({ http: { path: '/', port: 1 }, timeoutSeconds: 30 }, signal), {
    ok: false,
    detail: /nothing listens there/,
  })
  t.match(await probe({ tcp: { port: 1 }, timeoutSeconds: 30 }, signal), {
    ok: false,
    detail: /nothing listens there/,
  })
  t.match(await probe({}, signal), { ok: true })
})

t.test('an abort is no result', async (t) => {
  const port = await listen(
    t,
    createTcp(() => {}),
  )
  const stop = new AbortController()
  const running = probe({ http: { path: '/', port } }, stop.signal)
  stop.abort(new Error('stopped'))
  await t.rejects(running, { message: 'stopped' })
})

t.test('an address of IPv6 is asked, and named in brackets', async (t) => {
  const server = createHttp((_, response) => response.end()).listen(0, '::1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const result = await createProbe({ host: () => '::1' })({ http: { path: '/', port } }, signal)
  t.same(result, { ok: true, detail: `[::1]:${port}/ answered 200` })
})
