import t from 'tap'
import type { HostKey } from '../../../../../controller/delivery/ssh/host-keys.ts'
import { judgeHostKey, type KnownKeys, wantedKinds } from '../../../../../controller/delivery/ssh/policy.ts'

const mine: HostKey = { type: 'ssh-ed25519', key: 'AAAAmine' }
const theirs: HostKey = { type: 'ssh-ed25519', key: 'AAAAtheirs' }
const rsa: HostKey = { type: 'ssh-rsa', key: 'AAAArsa' }
const known = (some: Partial<KnownKeys> = {}): KnownKeys => ({
  vouched: [],
  pinned: [],
  revoked: [],
  ...some,
})

t.test('a key that somebody vouches for is trusted, and no other', async (t) => {
  for (const firstSight of ['refuse', 'pin'] as const) {
    t.same(judgeHostKey(mine, known({ vouched: [mine, rsa] }), firstSight), { trusted: true, pin: false })
    t.match(judgeHostKey(theirs, known({ vouched: [mine] }), firstSight), { code: 'SSH_HOST_KEY_CHANGED' })
  }
})

t.test('a key that was seen before counts as long as nobody vouches', async (t) => {
  t.same(judgeHostKey(mine, known({ pinned: [mine] }), 'refuse'), { trusted: true, pin: false })
  t.match(judgeHostKey(theirs, known({ pinned: [mine] }), 'pin'), { code: 'SSH_HOST_KEY_CHANGED' })
  t.match(judgeHostKey(mine, known({ pinned: [mine], vouched: [theirs] }), 'pin'), {
    code: 'SSH_HOST_KEY_CHANGED',
  })
})

t.test('at first sight the pool decides', async (t) => {
  t.match(judgeHostKey(mine, known(), 'refuse'), {
    trusted: false,
    code: 'SSH_HOST_KEY_UNKNOWN',
    detail: /SHA256:/,
  })
  t.same(judgeHostKey(mine, known(), 'pin'), { trusted: true, pin: true })
})

t.test('a revoked key is never trusted', async (t) => {
  t.match(judgeHostKey(mine, known({ revoked: [mine], vouched: [mine] }), 'pin'), { trusted: false })
})

t.test('the host is asked for a kind of key that can be compared', async (t) => {
  t.equal(wantedKinds(known()), undefined)
  t.same(wantedKinds(known({ vouched: [rsa, mine], pinned: [theirs] })), [
    'rsa-sha2-512',
    'rsa-sha2-256',
    'ssh-ed25519',
  ])
  t.same(wantedKinds(known({ pinned: [mine] })), ['ssh-ed25519'])
})
