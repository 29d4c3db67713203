import { once } from 'node:events'
import { createServer as createHttp, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import t, { type Test } from 'tap'
import { createProbe, type ProbeDeps, type ProbeOnce } from '../../../../agent/health/probes.ts'

const { signal } = new AbortController()
// A busy machine may need longer than a probe is given where nothing else is said.
const createPatient = (deps?: ProbeDeps): ProbeOnce => {
  const once = createProbe(deps)
  return (probe, signal) => once({ timeoutSeconds: 30, ...probe }, signal)
}
const probe = createPatient()

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
    const result = await probe({ http: { path: '/health?x=1', port } }, signal)
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
  for (let i = 0; i < 3; i += 1) await probe({ http: { path: '/', port } }, signal)
  t.equal(connections, 3)
})

t.test('an application that accepts and says nothing is given up in time', async (t) => {
  const port = await listen(
    t,
    createTcp(() => {}),
  )
  const result = await probe({ http: { path: '/', port }, timeoutSeconds: 0.1 }, signal)
  t.same(result, { ok: false, detail: `127.0.0.1:${port}/ did not answer in time` })
  t.match(await probe({ tcp: { port } }, signal), {
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
  t.match(await probe({ http: { path: '/', port } }, signal), { ok: true })
})

t.test('what does not listen or does not speak HTTP is said in words', async (t) => {
  const port = await listen(
    t,
    createTcp((socket) => socket.end('garbage\r\n\r\n')),
  )
  t.match(await probe({ http: { path: '/', port } }, signal), {
    ok: false,
    detail: /failed/,
  })
  t.match(await probe({ http: { path: '/', port: 1 } }, signal), {
    ok: false,
    detail: /nothing listens there/,
  })
  t.match(await probe({ tcp: { port: 1 } }, signal), {
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
  const probe = createPatient({ host: () => '::1' })
  t.match(await probe({ tcp: { port: 1 } }, signal), { ok: false, detail: /^\[::1\]:1 / })
  const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === '::1'))
  if (!hasIpv6) return
  const server = createHttp((_, response) => response.end()).listen(0, '::1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const result = await probe({ http: { path: '/', port } }, signal)
  t.same(result, { ok: true, detail: `[::1]:${port}/ answered 200` })
})

t.test('a command is asked with the limits of every probe', async (t) => {
  const run = (script: string, timeoutSeconds = 30) =>
    probe({ exec: { command: ['/bin/sh', '-c', script] }, timeoutSeconds }, signal)
  t.same(await run('exit 0'), { ok: true, detail: '/bin/sh ended with 0' })
  t.same(await run('echo not yet >&2; exit 3'), { ok: false, detail: '/bin/sh ended with 3: not yet' })
  // Its child holds the output open, outside of the process group that is killed.
  t.same(await run('setsid sleep 2 & sleep 60', 0.2), { ok: false, detail: '/bin/sh did not answer in time' })
  t.match(await probe({ exec: { command: ['/no/such/program'] } }, signal), {
    ok: false,
    detail: /127.*ENOENT/,
  })
})

t.test('of several ways the first counts, in the order of the documentation', async (t) => {
  const port = await http(t, (_request, response) => response.end())
  const exec = { command: ['/bin/false'] }
  t.match(await probe({ http: { path: '/', port }, tcp: { port: 1 }, exec }, signal), { ok: true })
  t.match(await probe({ tcp: { port }, grpc: { port: 1 }, exec }, signal), { ok: true })
  t.match(await probe({ grpc: { port: 1 }, exec }, signal), { ok: false, detail: /nothing listens there/ })
  t.match(await probe({ exec }, signal), { ok: false, detail: '/bin/false ended with 1' })
})
