import fc from 'fast-check'
import t from 'tap'
import { createChallenges } from '../../../../controller/join/challenge.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const key = Buffer.alloc(32, 7)

t.test('a fresh nonce is good for a minute', async (t) => {
  const clock = createFakeClock()
  const challenges = createChallenges({ clock, key })
  const { nonce, expiresAt, now } = challenges.issue()
  t.match(nonce, /^[A-Za-z0-9_-]{16,256}$/)
  t.equal(now, clock.now())
  t.equal(expiresAt, clock.now() + 60_000)
  challenges.check(nonce)
  await clock.advance(60_000)
  challenges.check(nonce)
  await clock.advance(1)
  t.throws(() => challenges.check(nonce), { code: 'CHALLENGE_EXPIRED' })
})

t.test('nonces differ', async (t) => {
  const challenges = createChallenges({ clock: createFakeClock(), key })
  const nonces = new Set(Array.from({ length: 1000 }, () => challenges.issue().nonce))
  t.equal(nonces.size, 1000)
})

t.test('a nonce of another controller, or an altered one, is not ours', async (t) => {
  const clock = createFakeClock()
  const challenges = createChallenges({ clock, key })
  const foreign = createChallenges({ clock, key: Buffer.alloc(32, 8) }).issue().nonce
  t.throws(() => challenges.check(foreign), { code: 'CHALLENGE_EXPIRED' })
  const { nonce } = challenges.issue()
  for (const text of ['', 'x', nonce.slice(0, -1), `${nonce}A`, `${nonce}=`, `.${nonce}`]) {
    t.throws(() => challenges.check(text), { code: 'CHALLENGE_EXPIRED' }, text)
  }
})

t.test('changing any character makes a nonce void', async (t) => {
  const challenges = createChallenges({ clock: createFakeClock(), key })
  const { nonce } = challenges.issue()
  fc.assert(
    fc.property(fc.nat(nonce.length - 1), fc.constantFrom(...'ABCxyz019_-'), (at, letter) => {
      const altered = nonce.slice(0, at) + letter + nonce.slice(at + 1)
      if (altered === nonce) return true
      try {
        challenges.check(altered)
        return false
      } catch {
        return true
      }
    }),
  )
  t.pass('held for every change')
})

t.test('a nonce serves one key, as often as it likes', async (t) => {
  const challenges = createChallenges({ clock: createFakeClock(), key })
  const { nonce } = challenges.issue()
  challenges.claim(nonce, 'a')
  challenges.claim(nonce, 'a')
  t.throws(() => challenges.claim(nonce, 'b'), { code: 'PROOF_INVALID' })
})

t.test('used nonces are forgotten when they have ended, and there is a limit to them', async (t) => {
  const clock = createFakeClock()
  const challenges = createChallenges({ clock, key, keep: 2 })
  challenges.claim(challenges.issue().nonce, 'a')
  const second = challenges.issue().nonce
  challenges.claim(second, 'b')
  t.throws(() => challenges.claim(challenges.issue().nonce, 'c'), { code: 'UNAVAILABLE' })
  challenges.claim(second, 'b')
  await clock.advance(60_000)
  challenges.claim(challenges.issue().nonce, 'c')
  t.pass('there is room again')
})
