import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createIstiodView } from '../../../../../controller/mesh/standalone/istiod-view.ts'

const never = new AbortController().signal

async function viewOf(t: Test, answer: RequestListener) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return createIstiodView((server.address() as AddressInfo).port)
}

function captured(name: string): string {
  return readFileSync(new URL(`captures/${name}.json`, import.meta.url), 'utf8')
}

t.test('it reads what istiod says of itself', async (t) => {
  const asked: string[] = []
  const view = await viewOf(t, (request, response) => {
    const name = request.url?.split('/').at(-1) ?? ''
    asked.push(name)
    response.end(name === 'authorizationz' ? '{"annotations":{"r":"abc-0"}}' : captured(name))
  })
  t.equal((await view.registry(never)).get('shop/web.shop.internal')?.endpoints.size, 4)
  t.same(asked, ['registryz', 'endpointShardz'], 'services first')
  t.equal((await view.revisions(never)).has('Sidecar shop/web'), true)
  t.equal(await view.policyInForce('abc-0', never), true)
  t.equal(await view.policyInForce('abc', never), false)
})

t.test('whatever goes wrong is one coded error that a retry may mend', async (t) => {
  const faulty: RequestListener[] = [
    (_, response) => response.writeHead(503).end(),
    (_, response) => response.end('{"half'),
    (request) => request.socket.destroy(),
    (_, response) => response.end(Buffer.alloc(65 * 1024 * 1024, 'x')),
  ]
  for (const answer of faulty) {
    const view = await viewOf(t, answer)
    await t.rejects(view.revisions(never), { code: 'MESH_UNAVAILABLE' })
  }
  const view = await viewOf(t, () => undefined)
  const stop = new AbortController()
  const waiting = view.registry(stop.signal)
  stop.abort(new Error('enough'))
  await t.rejects(waiting, { message: 'enough' })
})
