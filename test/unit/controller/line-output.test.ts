import { PassThrough, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { createLineOutput } from '../../../controller/line-output.ts'

t.test('lines come out whole and in order', async (t) => {
  const stream = new PassThrough()
  const line = createLineOutput(stream)
  await Promise.all([line('one'), line('two')])
  stream.end()
  t.equal(await text(stream), 'one\ntwo\n')
})

t.test('a stream that is closed, or that nobody reads, is an error', async (t) => {
  const closed = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) })
  const line = createLineOutput(closed)
  await t.rejects(line('one'), { code: 'STORE_UNAVAILABLE' })
  await t.rejects(line('two'), { code: 'STORE_UNAVAILABLE' })
  const stuck = new Writable({ write: () => {} })
  const unread = createLineOutput(stuck)
  const first = unread('x'.repeat(5 * 1024 * 1024))
  await t.rejects(unread('next'), { code: 'STORE_UNAVAILABLE', detail: 'standard output' })
  t.notOk(await Promise.race([first.then(() => true), Promise.resolve(false)]))
})
