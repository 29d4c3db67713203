import fc from 'fast-check'
import t from 'tap'
import { createAnswerReader, type HttpFault, type HttpReply } from '../../../../agent/client/http-answer.ts'

const maxBody = 64

/** Reads `parts` one after the other, and then the end of the connection. */
function read(...parts: readonly string[]): HttpReply | HttpFault {
  const reader = createAnswerReader(maxBody)
  for (const part of parts) {
    const reply = reader.push(Buffer.from(part))
    if (reply !== undefined) return reply
  }
  return reader.end()
}

const answers: readonly { name: string; text: string; reply: HttpReply }[] = [
  {
    name: 'with a length',
    text: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    reply: { status: 200, body: 'hello', whole: true },
  },
  {
    name: 'in chunks, with an extension and a trailer',
    text: 'HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n, everyone\r\n0\r\nx: y\r\n\r\n',
    reply: { status: 503, body: 'hello, everyone', whole: true },
  },
  {
    name: 'to the end of the connection',
    text: 'HTTP/1.0 302 Found\r\nlocation: /\r\n\r\nhello',
    reply: { status: 302, body: 'hello', whole: true },
  },
  {
    name: 'without a body',
    text: 'HTTP/1.1 204 No Content\r\nserver: x\r\n\r\n',
    reply: { status: 204, body: '', whole: true },
  },
  {
    name: 'after early hints, without a reason',
    text: 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200\r\ncontent-length: 0\r\n\r\n',
    reply: { status: 200, body: '', whole: true },
  },
]

for (const { name, text, reply } of answers) {
  t.test(`an answer ${name} is the same in whatever parts it comes`, async (t) => {
    t.same(read(text), reply)
    t.same(read(...text), reply, 'byte by byte')
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 4 }), (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), text.length]
        t.same(read(...at.slice(1).map((end, i) => text.slice(at[i], end))), reply)
      }),
      { numRuns: 25 },
    )
  })
}

t.test('more than is kept is said, and not waited for', async (t) => {
  const long = 'x'.repeat(maxBody)
  for (const text of [
    `HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n${long}y`,
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n${long}y`,
    `HTTP/1.1 200 OK\r\n\r\n${long}y`,
  ]) {
    const reader = createAnswerReader(maxBody)
    t.same(reader.push(Buffer.from(text)), { status: 200, body: long, whole: false })
  }
})

t.test('what is no HTTP, and what is broken off, is no answer', async (t) => {
  for (const text of [
    'garbage\r\n\r\n',
    'HTTP/2 200 OK\r\n\r\n',
    'HTTP/1.1 20 OK\r\n\r\n',
    'HTTP/1.1 2000 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
    `HTTP/1.1 200 OK\r\n${'a'.repeat(40_000)}`,
  ]) {
    t.same(read(text), { fault: 'the answer is not HTTP' }, JSON.stringify(text.slice(0, 40)))
  }
  t.same(read(''), { fault: 'the answer is not HTTP' })
  for (const text of [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
  ]) {
    t.same(read(text), { fault: 'the answer was broken off' })
  }
})
