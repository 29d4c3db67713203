import fc from 'fast-check'
import t from 'tap'
import {
  decideLease,
  type LeaseRecord,
  type Observation,
} from '../../../../controller/kubernetes/lease-plan.ts'

const lease: LeaseRecord = { holder: 'b', durationMs: 9_000, resourceVersion: '1' }
const decide = (over: Partial<LeaseRecord> | undefined, now = 0, observed?: Observation) =>
  decideLease({ identity: 'a', now, lease: over && { ...lease, ...over }, observed })

t.test('a lease that is not there is made, a free one taken, an own one renewed', async (t) => {
  t.equal(decide(undefined).do, 'create')
  t.equal(decide({ holder: '' }).do, 'take')
  t.equal(decide({ holder: 'a' }).do, 'renew')
})

t.test('one that another holds is waited for, as long as it changes', async (t) => {
  const first = decide({}, 1_000)
  t.same(first, { do: 'wait', observed: { resourceVersion: '1', at: 1_000 } })
  t.equal(decide({}, 9_999, first.observed).do, 'wait')
  t.same(decide({ resourceVersion: '2' }, 10_500, first.observed), {
    do: 'wait',
    observed: { resourceVersion: '2', at: 10_500 },
  })
  t.equal(decide({}, 10_000, first.observed).do, 'take')
})

t.test('two never hold it at once, however their clocks differ', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ who: fc.nat(2), passed: fc.nat(6_000) }), { maxLength: 200 }),
      fc.array(fc.integer({ min: -1e9, max: 1e9 }), { minLength: 3, maxLength: 3 }),
      (looks, skews) => {
        let now = 0
        let version = 1
        let stored: LeaseRecord | undefined
        const seen: (Observation | undefined)[] = [undefined, undefined, undefined]
        const renewed = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
        for (const { who, passed } of looks) {
          now += passed
          const decision = decideLease({
            identity: String(who),
            now: now + (skews[who] ?? 0),
            lease: stored,
            observed: seen[who],
          })
          seen[who] = decision.observed
          if (decision.do === 'wait') continue
          version += 1
          stored = { holder: String(who), durationMs: 9_000, resourceVersion: String(version) }
          renewed[who] = now
          // Each believes in its lease for 6 s after it renewed, and looks at nothing else.
          if (renewed.filter((at) => now - at < 6_000).length > 1) return false
        }
        return true
      },
    ),
  )
  t.pass('for all orders of looks')
})
