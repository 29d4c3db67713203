import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { connect } from 'node:tls'
import t from 'tap'
import { fetchPinnedAuthority } from '../../../cli/trust.ts'
import { keyPin } from '../../../shared/pin.ts'
import { createStandIn } from './stand-in.ts'

const limit = () => AbortSignal.timeout(30_000)

t.test('the authority with the pinned key is found, and verifies the listener', async (t) => {
  const standIn = await createStandIn(t)
  const port = Number(new URL(standIn.url).port)
  const ca = await fetchPinnedAuthority({
    host: '127.0.0.1',
    port,
    pin: standIn.authority.pin,
    signal: limit(),
  })
  const socket = connect({ host: '127.0.0.1', port, ca })
  t.teardown(() => socket.destroy())
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  t.equal(socket.authorized, true)
  t.same(standIn.seen, [], 'nothing was asked')
})

t.test('another key, and the key of the listener itself, are not an authority', async (t) => {
  const standIn = await createStandIn(t)
  const port = Number(new URL(standIn.url).port)
  const leaf = await new Promise<Buffer>((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      const spki = socket.getPeerX509Certificate()?.publicKey.export({ type: 'spki', format: 'der' })
      socket.destroy()
      resolve(spki ?? Buffer.alloc(0))
    }).once('error', reject)
  })
  for (const pin of [`sha256:${'0'.repeat(64)}`, keyPin(leaf)]) {
    await t.rejects(fetchPinnedAuthority({ host: '127.0.0.1', port, pin, signal: limit() }), {
      code: 'CONTROLLER_UNTRUSTED',
    })
  }
})

t.test('a listener that says nothing is left when time is up', async (t) => {
  const silent = createServer()
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  const enough = new AbortController()
  silent.once('connection', (socket) => {
    socket.on('error', () => {})
    enough.abort(new Error('enough'))
  })
  const { port } = silent.address() as AddressInfo
  const pin = `sha256:${'0'.repeat(64)}`
  await t.rejects(fetchPinnedAuthority({ host: '127.0.0.1', port, pin, signal: enough.signal }), /enough/)
})
