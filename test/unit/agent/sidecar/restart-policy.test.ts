import fc from 'fast-check'
import t from 'tap'
import { createRestartPolicy, hopeless, stableMs } from '../../../../agent/sidecar/restart-policy.ts'

t.test('the first restart comes at once, the next ones back off', async (t) => {
  const policy = createRestartPolicy(() => 0.999_999)
  t.same(
    Array.from({ length: hopeless }, () => policy.ended(10).delayMs),
    [0, 250, 500, 1000, 2000, 4000, 8000, 10_000],
  )
})

t.test('after many failures in a row it is down for good, until it lasts', async (t) => {
  const policy = createRestartPolicy()
  const verdicts = Array.from({ length: hopeless }, () => policy.ended(10).downForGood)
  t.same(verdicts.indexOf(true), hopeless - 1)
  t.equal(policy.runs(stableMs - 1), false)
  t.equal(policy.ended(10).downForGood, true)
  t.equal(policy.runs(stableMs), true)
  t.same(policy.ended(stableMs + 5), { delayMs: 0, downForGood: false })
})

t.test(
  'no delay is longer than ten seconds, and a long run is always followed by a restart at once',
  async (t) => {
    fc.assert(
      fc.property(fc.array(fc.nat(2 * stableMs)), (lives) => {
        const policy = createRestartPolicy()
        return lives.every((lived) => {
          const { delayMs } = policy.ended(lived)
          return delayMs <= 10_000 && (lived < stableMs || delayMs === 0)
        })
      }),
    )
    t.pass('for any series of lives')
  },
)
