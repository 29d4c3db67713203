import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import t from 'tap'
import { readBody } from '../../../controller/answer-body.ts'

const answer = (...parts: readonly string[]) =>
  Readable.from(parts.map((part) => Buffer.from(part))) as unknown as IncomingMessage

t.test('a body is read whole, also where a letter is in two parts', async (t) => {
  t.equal(await readBody(answer(), 0), '')
  t.equal(await readBody(answer('ab', 'cd'), 4), 'abcd')
  const [first, second] = [Buffer.from('ä').subarray(0, 1), Buffer.from('ä').subarray(1)]
  t.equal(await readBody(Readable.from([first, second]) as unknown as IncomingMessage, 2), 'ä')
})

t.test('of one that is too long, no more is read', async (t) => {
  const long = answer('abc', 'de', 'f')
  t.equal(await readBody(long, 4), undefined)
  t.ok(long.destroyed)
})
