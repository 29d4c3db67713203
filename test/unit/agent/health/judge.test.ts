import fc from 'fast-check'
import t from 'tap'
import { type Judgement, judge, unjudged } from '../../../../agent/health/judge.ts'

const after = (results: readonly boolean[], probe = {}): Judgement =>
  results.reduce((so, ok) => judge(so, { ok, detail: String(ok) }, probe), unjudged)

t.test('one success makes it healthy, two failures in a row make it unhealthy', async (t) => {
  t.equal(after([]).verdict, 'unknown')
  t.equal(after([true]).verdict, 'healthy')
  t.equal(after([true, false]).verdict, 'healthy')
  t.equal(after([true, false, true, false]).verdict, 'healthy')
  t.equal(after([true, false, false]).verdict, 'unhealthy')
  t.equal(after([true, false, false, true]).verdict, 'healthy')
})

t.test('one that never answered is unhealthy after its first failure', async (t) => {
  t.equal(after([false]).verdict, 'unhealthy')
  t.equal(after([false], { failures: 5 }).verdict, 'unhealthy')
})

t.test("the pool's numbers count", async (t) => {
  const probe = { failures: 3, successes: 2 }
  t.equal(after([true], probe).verdict, 'unknown')
  t.equal(after([true, true], probe).verdict, 'healthy')
  t.equal(after([true, true, false, false], probe).verdict, 'healthy')
  t.equal(after([true, true, false, false, false], probe).verdict, 'unhealthy')
  t.equal(after([true, true, false, false, false, true], probe).verdict, 'unhealthy')
})

t.test('for any series: enough of the same in a row decides, whatever came before', async (t) => {
  const count = fc.integer({ min: 1, max: 5 })
  fc.assert(
    fc.property(fc.array(fc.boolean()), count, count, fc.boolean(), (before, failures, successes, ok) => {
      const probe = { failures, successes }
      const row = Array.from({ length: ok ? successes : failures }, () => ok)
      return after([...before, ...row], probe).verdict === (ok ? 'healthy' : 'unhealthy')
    }),
  )
  fc.assert(
    fc.property(fc.array(fc.boolean()), count, count, (results, failures, successes) => {
      const verdict = after(results, { failures, successes }).verdict
      const run = results.length - 1 - results.lastIndexOf(!results.at(-1))
      return results.at(-1) === false && run >= failures ? verdict === 'unhealthy' : true
    }),
  )
  t.pass('any series of results')
})
