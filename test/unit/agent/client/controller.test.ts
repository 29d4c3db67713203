import t from 'tap'
import { createController } from '../../../../agent/client/controller.ts'
import type { HttpAnswer, HttpRequest, Transport } from '../../../../agent/client/request.ts'
import { limits, paths } from '../../../../shared/api/wire.ts'
import { MooringError } from '../../../../shared/errors.ts'

const { signal } = new AbortController()
const challenge = { nonce: 'n'.repeat(20), expiresAt: 2, now: 1, wire: 1 }

interface Given {
  readonly status?: number
  readonly headers?: HttpAnswer['headers']
  readonly body?: string | object
  readonly error?: Error
}

function scene(...given: Given[]) {
  const sent: HttpRequest[] = []
  let distrusted = 0
  const transport: Transport = {
    async send(request) {
      sent.push(request)
      const { status = 200, headers = {}, body = '', error } = given.shift() ?? {}
      if (error !== undefined) throw error
      const text = typeof body === 'string' ? body : JSON.stringify(body)
      return { status, headers, body: parts(text) }
    },
    close() {},
  }
  const controller = createController({
    url: new URL('https://c:8443'),
    trust: {
      authorities: async (known) => `CA ${known}`,
      distrusted: () => {
        distrusted += 1
      },
    },
    transport,
    identity: () => ({
      privateKey: 'KEY',
      identity: {
        ...{ vm: 'vm-1', pool: 'web', certificate: 'CERT', controllerCa: 'KNOWN' },
        ...{ certificateFrom: 0, certificateUntil: 1, joinedAt: 0 },
      },
    }),
  })
  return { controller, sent, distrusted: () => distrusted }
}

async function* parts(text: string): AsyncIterable<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
}

t.test('a challenge is asked for without a certificate, a bundle with it', async (t) => {
  const { controller, sent } = scene({ body: challenge }, { body: {} })
  t.same(await controller.challenge(signal), challenge)
  await t.rejects(controller.bundle(signal), { code: 'CONTROLLER_UNREACHABLE', detail: /does not fit/ })
  t.equal(sent[0]?.credentials, undefined)
  t.same(sent[1]?.credentials, { key: 'KEY', certificate: 'CERT' })
  t.same(
    sent.map(({ url, ca }) => [url.pathname, ca]),
    [
      [paths.challenge, 'CA KNOWN'],
      [paths.bundle, 'CA KNOWN'],
    ],
  )
})

t.test('keys that a newer controller adds are ignored', async (t) => {
  const { controller } = scene({ body: { ...challenge, more: true } })
  t.match(await controller.challenge(signal), challenge)
})

t.test('a controller of another age is refused by name', async (t) => {
  const { controller } = scene({ body: { ...challenge, wire: 9 } })
  await t.rejects(controller.challenge(signal), { code: 'WIRE_VERSION_UNSUPPORTED', detail: /version 9/ })
})

t.test('problems keep their code, their words and their Retry-After', async (t) => {
  const problem = { type: 'urn:x', title: 'No', status: 403, code: 'TOKEN_EXPIRED', detail: 'since noon' }
  const { controller } = scene(
    { status: 403, body: problem },
    { status: 429, body: { ...problem, status: 429, code: 'RATE_LIMITED' }, headers: { 'retry-after': '7' } },
    { status: 418, body: { ...problem, status: 418, code: 'OF_THE_FUTURE' } },
    { status: 503, body: { ...problem, status: 503, code: 'OF_THE_FUTURE' } },
    { status: 502, body: '<html>' },
  )
  await t.rejects(controller.challenge(signal), { code: 'TOKEN_EXPIRED', detail: 'since noon' })
  await t.rejects(controller.challenge(signal), { code: 'RATE_LIMITED', retryAfterSeconds: 7 })
  await t.rejects(controller.challenge(signal), {
    code: 'REQUEST_INVALID',
    detail: 'OF_THE_FUTURE: since noon',
  })
  await t.rejects(controller.challenge(signal), { code: 'UNAVAILABLE' })
  await t.rejects(controller.challenge(signal), { code: 'UNAVAILABLE', detail: /HTTP 502/ })
})

t.test('an answer that is too long is not read to its end', async (t) => {
  const { controller } = scene({ body: `"${'x'.repeat(limits.response)}"` })
  await t.rejects(controller.challenge(signal), { code: 'CONTROLLER_UNREACHABLE', detail: /larger than/ })
})

t.test('distrust is passed on, so that the pin is looked at anew', async (t) => {
  const { controller, distrusted } = scene({ error: new MooringError('CONTROLLER_UNTRUSTED') })
  await t.rejects(controller.challenge(signal), { code: 'CONTROLLER_UNTRUSTED' })
  t.equal(distrusted(), 1)
})

t.test('an archive is continued where it broke off, also by a server that knows no ranges', async (t) => {
  const text = 'x'.repeat(2_500) + 'y'.repeat(100)
  for (const status of [206, 200]) {
    const { controller, sent } = scene({ status, body: status === 206 ? text.slice(2_300) : text })
    const got: Uint8Array[] = []
    for await (const part of controller.artifact('a'.repeat(64), { from: 2_300, signal })) got.push(part)
    t.equal(Buffer.concat(got).toString(), text.slice(2_300), `status ${status}`)
    t.match(sent[0], { headers: { range: 'bytes=2300-' }, credentials: { key: 'KEY' } })
  }
})
