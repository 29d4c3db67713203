import { closeSync, openSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { inheritedDatagram, setEnvironment } from '../../../../agent/host/datagram.ts'

t.test('only an open socket is taken for one', async (t) => {
  const file = openSync('/dev/null', 'w')
  t.teardown(() => closeSync(file))
  for (const value of [undefined, '', 'x', '2', '3.5', '99999', String(file)]) {
    t.equal(inheritedDatagram(value), undefined, String(value))
  }
})

t.test('what is written arrives; what cannot be written is told', async (t) => {
  // A stream stands for the datagram socket, which this runtime cannot make.
  // Not in the test's own folder: a socket's path has 107 characters at most.
  const folder = await mkdtemp(join(tmpdir(), 'datagram-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const path = join(folder, 's')
  const received: string[] = []
  const server = createServer((socket) => socket.on('data', (data) => received.push(String(data))))
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const socket: Socket = connect(path)
  t.teardown(() => {
    socket.destroy()
    server.close()
  })
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
  const send = inheritedDatagram(String(fd))
  t.equal(send?.('READY=1'), true)
  t.equal(send?.(Buffer.from('\nx')), true)
  while (received.join('') !== 'READY=1\nx') await new Promise((resolve) => setImmediate(resolve))
  socket.destroy()
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
  t.equal(send?.('late'), false)
})

t.test('an environment names the sockets that are there, and no stale ones', async (t) => {
  t.same(
    setEnvironment({ A: '1', B: undefined, N: '7', J: '8' }, [
      ['N', 9],
      ['J', undefined],
    ]),
    { A: '1', N: '9' },
  )
})
