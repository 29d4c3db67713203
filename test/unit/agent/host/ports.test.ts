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
  t.same(parseListeners(text), [
    { port: 15000, uid: 1337, inode: 4711 },
    { port: 22, uid: 0, inode: 4713 },
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
})
