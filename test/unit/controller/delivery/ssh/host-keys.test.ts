import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  fingerprint,
  hostKeyOf,
  keysFor,
  keysInConsole,
  knownLine,
  knownName,
} from '../../../../../controller/delivery/ssh/host-keys.ts'

const blob = (type: string, rest: string) => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(type.length)
  return Buffer.concat([length, Buffer.from(type), Buffer.from(rest)])
}
const key = hostKeyOf(blob('ssh-ed25519', 'one key of a host'))
const other = hostKeyOf(blob('ecdsa-sha2-nistp256', 'another key of a host'))

t.test('a key is its kind and its blob', async (t) => {
  t.equal(key.type, 'ssh-ed25519')
  t.match(fingerprint(key), /^SHA256:[A-Za-z0-9+/]{43}$/)
  t.equal(hostKeyOf(Buffer.from('x')).type, 'unknown', 'of no kind that is known')
  t.equal(hostKeyOf(blob('ssh-dss', 'old')).type, 'unknown')
})

t.test('a line that is written is found again, for this host and port alone', async (t) => {
  for (const port of [22, 2222]) {
    const list = `# a comment\n\n${knownLine(knownName('10.0.0.7', port), key)}\n`
    t.same(keysFor(list, '10.0.0.7', port).known, [key])
    t.same(keysFor(list, '10.0.0.7', port === 22 ? 2222 : 22).known, [])
    t.same(keysFor(list, '10.0.0.8', port).known, [])
  }
})

t.test('names, patterns, exceptions, hashed names, and keys that are revoked', async (t) => {
  const text = `${key.type} ${key.key} comment`
  t.same(keysFor(`a,web-*.Example.org ${text}`, 'WEB-1.example.org', 22).known, [key])
  t.same(keysFor(`*.example.org,!bad.example.org ${text}`, 'bad.example.org', 22).known, [])
  t.same(keysFor(`10.0.?.7 ${text}`, '10.0.1.7', 22).known, [key])
  t.same(keysFor(`10.0.0.7 ${text}`, '10a0b0c7', 22).known, [], 'a point is a point')
  const salt = Buffer.from('twenty bytes of salt')
  const hash = createHmac('sha1', salt).update('[10.0.0.7]:2222').digest('base64')
  const hashed = `|1|${salt.toString('base64')}|${hash} ${text}`
  t.same(keysFor(hashed, '10.0.0.7', 2222).known, [key])
  t.same(keysFor(hashed, '10.0.0.7', 22).known, [])
  t.same(keysFor(`@revoked * ${text}`, 'any', 22), { known: [], revoked: [key] })
  t.same(keysFor(`@cert-authority * ${text}`, 'any', 22), { known: [], revoked: [] })
})

t.test('no pattern and no text costs more than its length', async (t) => {
  const stars = `${'*a'.repeat(400)}*b`
  t.same(keysFor(`${stars} ${key.type} ${key.key}`, 'a'.repeat(250), 22).known, [])
  fc.assert(
    fc.property(fc.string(), fc.string(), (list, host) => {
      const { known, revoked } = keysFor(list, host, 22)
      return known.length + revoked.length <= list.split('\n').length
    }),
  )
  t.pass('any text is read')
})

t.test("the console's first block of keys counts", async (t) => {
  const block = (keys: readonly string[]) =>
    [
      '-----BEGIN SSH HOST KEY KEYS-----',
      ...keys.map((one) => `[   14.2] cloud-init[612]: ${one} root@vm\r`),
      '-----END SSH HOST KEY KEYS-----',
    ].join('\n')
  const log = `boot\n${block([`${key.type} ${key.key}`, `${other.type} ${other.key}`])}\nlogin:`
  t.same(keysInConsole(log), [key, other])
  t.same(keysInConsole(`${block([`${key.type} ${key.key}`])}\n${block([`${other.type} ${other.key}`])}`), [
    key,
  ])
  t.same(keysInConsole('-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA'), [], 'one that has no end')
  t.same(keysInConsole(''), [])
})
