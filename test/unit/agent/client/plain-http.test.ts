import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { askPlain } from '../../../../agent/client/plain-http.ts'

const { signal } = new AbortController()
const common = { host: '127.0.0.1', path: '/', maxBody: 1024, signal }

/** A server that sees every byte. */
async function listen(t: Test, onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onSocket(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

t.test('the request is one that every server understands', async (t) => {
  const requests: string[] = []
  const port = await listen(t, (socket) =>
    socket.once('data', (data) => {
      requests.push(String(data))
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    }),
  )
  t.same(await askPlain({ ...common, port, path: '/health?x=1' }), { status: 200, body: 'ok', whole: true })
  await askPlain({ ...common, port, method: 'POST', path: '/drain' })
  const head = `host: 127.0.0.1:${port}\r\nuser-agent: mooring-agent\r\n`
  t.equal(requests[0], `GET /health?x=1 HTTP/1.1\r\n${head}connection: close\r\n\r\n`)
  t.equal(requests[1], `POST /drain HTTP/1.1\r\n${head}content-length: 0\r\nconnection: close\r\n\r\n`)
})

t.test('nobody writes a second request into the path', async (t) => {
  let connections = 0
  const port = await listen(t, () => {
    connections += 1
  })
  for (const path of ['/ HTTP/1.1\r\nx: y\r\n\r\n', '/a b', '/\u00e4', 'http://other/', '']) {
    t.match(await askPlain({ ...common, port, path }), { fault: /is no path of HTTP/ })
  }
  t.equal(connections, 0)
})

t.test(
  'a closed port and an abort are errors, a connection that ends without an answer is none',
  async (t) => {
    await t.rejects(askPlain({ ...common, port: 1 }), { code: 'ECONNREFUSED' })
    const silent = await listen(t, (socket) => socket.once('data', () => socket.end()))
    t.same(await askPlain({ ...common, port: silent }), { fault: 'the answer is not HTTP' })
    const patient = await listen(t, () => {})
    const stop = new AbortController()
    const asked = askPlain({ ...common, port: patient, signal: stop.signal })
    stop.abort(new Error('stopped'))
    await t.rejects(asked, { message: 'stopped' })
    await t.rejects(askPlain({ ...common, port: patient, signal: stop.signal }), { message: 'stopped' })
  },
)
