import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import t, { type Test } from 'tap'
import { createGate, type GateDeps } from '../../../../../controller/mesh/standalone/gate.ts'
import { silentLog } from '../../../../../shared/log.ts'

/** Below the ports that systems give to whoever asks for any, so that nobody is given it meanwhile. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

/** Where a machine has no IPv6, another loopback address. */
const secondHost = Object.values(networkInterfaces()).some((all) => all?.some((one) => one.address === '::1'))
  ? '::1'
  : '127.0.0.2'

async function upstreamOf(
  t: Test,
  onClient: (socket: Socket) => void,
): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    onClient(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { server, port: (server.address() as AddressInfo).port }
}

async function gateOf(t: Test, options: Partial<GateDeps> = {}) {
  const port = await freePort()
  const gate = createGate({ hosts: ['127.0.0.1'], port, log: silentLog, ...options })
  t.teardown(() => gate.end())
  const dial = async (host = '127.0.0.1'): Promise<Socket> => {
    const socket = connect({ host, port, localAddress: host, allowHalfOpen: true })
    await once(socket, 'connect')
    socket.on('error', () => undefined)
    return socket
  }
  return { gate, port, dial }
}

async function ended(socket: Socket): Promise<void> {
  socket.resume()
  if (socket.readableEnded) socket.destroy()
  else socket.once('end', () => socket.destroy())
  if (!socket.closed) await once(socket, 'close')
}

t.test('bytes go both ways unchanged, and each direction ends by itself', async (t) => {
  const received = createHash('sha256')
  const { port } = await upstreamOf(t, (socket) => {
    socket.on('data', (chunk) => received.update(chunk))
    // Answers only after the client has said its last.
    socket.on('end', () => socket.end(received.digest('hex')))
  })
  const { gate, dial } = await gateOf(t)
  await gate.open(port)
  const client = await dial()
  const payload = randomBytes(8 * 1024 * 1024)
  client.end(payload)
  let answer = ''
  client.on('data', (chunk) => {
    answer += chunk
  })
  await once(client, 'end')
  t.equal(answer, createHash('sha256').update(payload).digest('hex'))
})

t.test('a slow reader slows the sender down instead of filling memory', async (t) => {
  let accepted: Socket | undefined
  const { port } = await upstreamOf(t, (socket) => {
    accepted = socket
    socket.pause()
  })
  const { gate, dial } = await gateOf(t)
  await gate.open(port)
  const client = await dial()
  const chunk = Buffer.alloc(64 * 1024)
  const total = 4096
  let sent = 0
  const pump = () => {
    while (sent < total && client.write(chunk)) sent += 1
  }
  client.on('drain', pump)
  pump()
  // Far more than the kernel's buffers hold; the gate, in this process, would take all of it if it did not wait.
  for (let [before, turns] = [0, 0]; turns < 500 && sent < total; before = sent) {
    await new Promise((resolve) => setImmediate(resolve))
    turns = sent === before ? turns + 1 : 0
  }
  t.ok(sent < total, `stopped after ${sent} of ${total}`)
  accepted?.resume()
  while (sent < total) await once(client, 'drain')
  client.destroy()
})

t.test('a closed gate has no listener, and leaves open connections alone', async (t) => {
  const { port } = await upstreamOf(t, (socket) => socket.pipe(socket))
  const { gate, dial } = await gateOf(t)
  await t.rejects(dial(), { code: 'ECONNREFUSED' })
  await gate.open(port)
  t.equal(gate.isOpen(), true)
  const client = await dial()
  await gate.close()
  t.equal(gate.isOpen(), false)
  await t.rejects(dial(), { code: 'ECONNREFUSED' })
  client.write('still here')
  t.equal(String((await once(client, 'data'))[0]), 'still here')
  await gate.open(port)
  const second = await dial()
  second.write('and new')
  t.equal(String((await once(second, 'data'))[0]), 'and new')
  t.equal(gate.connections(), 2)
  await gate.end()
  await Promise.all([ended(client), ended(second)])
  t.equal(gate.connections(), 0)
})

t.test('a connection ends with its other side', async (t) => {
  const { port } = await upstreamOf(t, (socket) => socket.once('data', () => socket.destroy()))
  const { gate, dial } = await gateOf(t)
  await gate.open(port)
  const client = await dial()
  client.write('x')
  await ended(client)

  const unused = await freePort()
  await gate.open(unused)
  await ended(await dial())
  t.equal(gate.connections(), 0)
})

t.test('connections are bounded, all together and for each address', async (t) => {
  const { port } = await upstreamOf(t, (socket) => socket.pipe(socket))
  const { gate, dial } = await gateOf(t, { maxConnections: 3, maxPerAddress: 2 })
  await gate.open(port)
  const kept = [await dial(), await dial()]
  await ended(await dial())
  t.equal(gate.connections(), 2)
  for (const socket of kept) socket.destroy()
  while (gate.connections() > 0) await new Promise((resolve) => setImmediate(resolve))
  const again = await dial()
  again.write('room')
  t.equal(String((await once(again, 'data'))[0]), 'room')
  again.destroy()
})

t.test('a denied address is cut off and stays out, over IPv4 and IPv6', async (t) => {
  const { port } = await upstreamOf(t, (socket) => socket.pipe(socket))
  const { gate, dial } = await gateOf(t, { hosts: ['127.0.0.1', secondHost] })
  await gate.open(port)
  const [four, six] = [await dial('127.0.0.1'), await dial(secondHost)]
  six.write('x')
  await once(six, 'data')
  gate.deny(new Set(['127.0.0.1']))
  await ended(four)
  await ended(await dial('127.0.0.1'))
  six.write('y')
  t.equal(String((await once(six, 'data'))[0]), 'y')
  gate.deny(new Set([secondHost]))
  await ended(six)
  gate.deny(new Set())
  const back = await dial('127.0.0.1')
  back.write('z')
  t.equal(String((await once(back, 'data'))[0]), 'z')
  back.destroy()
})

t.test('a port that is taken is said, and nothing stays half open', async (t) => {
  const { port } = await upstreamOf(t, () => undefined)
  const gate = createGate({ hosts: [secondHost, '127.0.0.1'], port, log: silentLog })
  t.teardown(() => gate.end())
  await t.rejects(gate.open(1), { code: 'MESH_UNAVAILABLE', detail: /EADDRINUSE/ })
  t.equal(gate.isOpen(), false)
  const socket = connect({ host: secondHost, port })
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  t.equal(error.code, 'ECONNREFUSED')
})
