import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import t, { type Test } from 'tap'
import { createEnvoy } from '../../../../agent/sidecar/envoy.ts'

const { signal } = new AbortController()
const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === '::1'))

async function serve(t: Test, listener: RequestListener, host = '127.0.0.1'): Promise<number> {
  const server = createServer(listener).listen(0, host)
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

t.test('readiness is what the health port says, and a closed port is an answer', async (t) => {
  let status = 503
  const port = await serve(t, (request, response) => {
    response.statusCode = request.url === '/healthz/ready' ? status : 404
    response.end()
  })
  const envoy = createEnvoy({ ports: { admin: 1, health: port } })
  t.match(await envoy.readiness(signal), { ready: false, detail: /istiod/ })
  status = 200
  t.same(await envoy.readiness(signal), { ready: true, detail: '' })
  t.match(await createEnvoy({ ports: { admin: 1, health: 1 } }).readiness(signal), {
    ready: false,
    detail: /ECONNREFUSED/,
  })
  const aborted = await envoy.readiness(AbortSignal.abort(new Error('stopped')))
  t.equal(aborted.ready, false)
})

t.test('an Envoy that listens on the loopback address of IPv6 alone is found there', async (t) => {
  const port = await serve(
    t,
    (_, response) => response.end('http.inbound_::_80;.downstream_rq_active: 2\n'),
    hasIpv6 ? '::1' : '127.0.0.1',
  )
  const envoy = createEnvoy({ ports: { admin: port, health: port } })
  t.same(await envoy.readiness(signal), { ready: true, detail: '' })
  t.match(await envoy.inbound(signal), { activeRequests: 2 })
})

t.test('the drain is told with the words that keep the listeners', async (t) => {
  const seen: string[] = []
  const port = await serve(t, (request, response) => {
    seen.push(`${request.method} ${request.url}`)
    response.end('http.inbound_0.0.0.0_80;.downstream_rq_active: 3\n')
  })
  const envoy = createEnvoy({ ports: { admin: port, health: 1 } })
  await envoy.drain(signal)
  t.match(await envoy.inbound(signal), { activeRequests: 3 })
  t.equal(seen[0], 'POST /drain_listeners?inboundonly&graceful&skip_exit')
  t.match(seen[1], /^GET \/stats\?filter=/)
})

t.test('an endless answer and a refusal are errors, not memory', async (t) => {
  const port = await serve(t, (request, response) => {
    if (request.method === 'POST') {
      response.statusCode = 500
      return response.end()
    }
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
    }
    response.on('drain', more)
    return more()
  })
  const envoy = createEnvoy({ ports: { admin: port, health: 1 } })
  await t.rejects(envoy.inbound(signal), { code: 'SIDECAR_NOT_READY', detail: /longer than/ })
  await t.rejects(envoy.drain(signal), { code: 'SIDECAR_NOT_READY', detail: /500/ })
  await t.rejects(createEnvoy({ ports: { admin: 1, health: 1 } }).inbound(signal), {
    code: 'SIDECAR_NOT_READY',
  })
})
