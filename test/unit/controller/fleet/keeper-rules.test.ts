import fc from 'fast-check'
import t from 'tap'
import { expectedSince, type KeeperQuestion, keeperOf } from '../../../../controller/fleet/keeper-rules.ts'
import { now, record } from './situations.ts'

const stream = (owner: string) => ({ owner, epoch: 1, since: now - 1_000 })

function question(changes: Partial<KeeperQuestion> = {}): KeeperQuestion {
  return {
    record: record({ phase: 'ready', stream: stream('b') }),
    session: undefined,
    self: 'a',
    several: true,
    leads: false,
    ownerGoneSince: undefined,
    admitting: false,
    now,
    ...changes,
  }
}

t.test('who has the stream keeps the VM, also when it has just ended', async (t) => {
  const own = record({ phase: 'ready', stream: stream('a') })
  t.equal(keeperOf(question({ record: own })).by, 'stream')
  t.equal(keeperOf(question({ session: { state: 'greeting' } })).by, 'stream', 'a claim')
  t.equal(keeperOf(question({ session: { state: 'open' } })).by, 'another', 'a newer stream is elsewhere')
  t.equal(keeperOf(question({ leads: true })).by, 'another', 'the lead does not take from who lives')
})

t.test('of one that is gone the lead keeps what it had', async (t) => {
  t.same(keeperOf(question({ ownerGoneSince: now - 9_000, leads: true })), {
    by: 'lead',
    ownerGoneSince: now - 9_000,
  })
  t.equal(keeperOf(question({ ownerGoneSince: now - 9_000 })).by, 'another')
})

t.test('a VM that never had a stream is the admitting replica’s first, and then the lead’s', async (t) => {
  const admittedAt = now - 1_000
  const fresh = record({ phase: 'joining', admittedAt })
  t.same(keeperOf(question({ record: fresh, leads: true })), { by: 'another', lookAt: admittedAt + 5_000 })
  t.equal(keeperOf(question({ record: fresh, admitting: true })).by, 'join')
  const later = question({ record: fresh, leads: true, now: now + 5_000 })
  t.same(keeperOf(later), { by: 'lead', ownerGoneSince: 0 })
  t.equal(keeperOf(question({ record: fresh, leads: true, several: false })).by, 'lead', 'alone, at once')
  const ahead = record({ phase: 'joining', admittedAt: now + 3_600_000 })
  t.equal(keeperOf(question({ record: ahead, leads: true })).by, 'lead', 'by a clock that goes wrong')
})

t.test('two replicas that know the same never both keep a VM', async (t) => {
  const owner = fc.constantFrom('a', 'b', 'c', undefined)
  const gone = fc.option(fc.nat(20_000), { nil: undefined })
  const property = fc.property(
    owner,
    gone,
    fc.constantFrom('a', 'b'),
    fc.nat(10_000),
    (name, since, leader, ageMs) => {
      const of = record({
        phase: 'joining',
        admittedAt: now - ageMs,
        ...(name && { stream: stream(name) }),
      })
      const keeps = (self: string) => {
        // Who asks lives, and so does the other one.
        const ownerGoneSince = name === 'c' ? since : undefined
        return (
          keeperOf(question({ record: of, self, leads: leader === self, ownerGoneSince })).by !== 'another'
        )
      }
      return !(keeps('a') && keeps('b'))
    },
  )
  t.doesNotThrow(() => fc.assert(property))
})

t.test('after the death of its replica a VM has the window since the last sign of life', async (t) => {
  const { admittedAt } = record()
  const by = 'lead' as const
  t.equal(expectedSince({ by, ownerGoneSince: now - 9_000 }, { admittedAt }, 5_000, now), now - 14_000)
  t.equal(expectedSince({ by, ownerGoneSince: 0 }, { admittedAt }, 5_000, now), admittedAt)
  t.equal(expectedSince({ by: 'stream' }, { admittedAt: now + 60_000 }, 5_000, now), now)
})
