import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { listeners, ownerOf, parseListeners } from '../../../../agent/host/ports.ts'

t.test('listening sockets are read, others are not', async (t) => {
  const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:3A98 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1337        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1
`
  const protocol = 'tcp'
  t.same(parseListeners(text), [
    { protocol, port: 15000, reach: 'loopback', uid: 1337, inode: 4711 },
    { protocol, port: 22, reach: 'all', uid: 0, inode: 4713 },
  ])
  const udp = `  sl  local_address rem_address   st
   0: 3500007F:3ACD 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 4714 2`
  t.same(parseListeners(udp), [], 'a state of TCP says nothing of UDP')
  t.same(parseListeners(udp, 'udp'), [
    { protocol: 'udp', port: 15053, reach: 'elsewhere', uid: 101, inode: 4714 },
  ])
  fc.assert(fc.property(fc.string(), (any) => Array.isArray(parseListeners(any))))
})

t.test('a listener of this process is found, with its owner', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const found = (await listeners('/proc')).find((listener) => listener.port === port)
  t.equal(found?.uid, process.getuid?.())
  t.match(await ownerOf('/proc', found?.inode ?? 0), `(pid ${process.pid})`)
  t.equal(await ownerOf('/proc', 0), undefined)
  server.close()
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  const bound = socket.address().port
  t.match(
    (await listeners('/proc')).find(({ port, protocol }) => port === bound && protocol === 'udp'),
    { reach: 'loopback' },
  )
  socket.close()
})
