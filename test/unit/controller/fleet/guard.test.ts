import fc from 'fast-check'
import t from 'tap'
import { type Guard, isMassLoss, nextGuard, suspectAfterMs } from '../../../../controller/fleet/guard.ts'

const calm = 15_000
const idle: Guard = { holding: false }

t.test('a loss is a mass loss above three VMs and above 30 % of the fleet', async (t) => {
  const cases: [total: number, silent: number, mass: boolean][] = [
    [1, 1, false],
    [3, 3, false],
    [4, 4, true],
    [10, 3, false],
    [10, 4, true],
    [20, 6, false],
    [20, 7, true],
    [100, 30, false],
    [100, 31, true],
    [10_000, 3_000, false],
    [10_000, 3_001, true],
  ]
  for (const [total, silent, mass] of cases) {
    t.equal(isMassLoss({ total, silent }), mass, `${silent} of ${total}`)
  }
})

t.test('it holds at once, and lets go only after a whole calm time', async (t) => {
  let guard = nextGuard(idle, { total: 10, silent: 10 }, 1_000, calm)
  t.same(guard, { holding: true, since: 1_000 })
  guard = nextGuard(guard, { total: 10, silent: 2 }, 2_000, calm)
  t.same(guard, { holding: true, since: 1_000, calmSince: 2_000 })
  guard = nextGuard(guard, { total: 10, silent: 2 }, 2_000 + calm - 1, calm)
  t.equal(guard.holding, true)
  guard = nextGuard(guard, { total: 10, silent: 2 }, 2_000 + calm, calm)
  t.same(guard, idle)
})

t.test('a new mass loss during the calm time starts the calm time over', async (t) => {
  let guard = nextGuard(idle, { total: 10, silent: 10 }, 0, calm)
  guard = nextGuard(guard, { total: 10, silent: 1 }, 1_000, calm)
  guard = nextGuard(guard, { total: 10, silent: 5 }, 10_000, calm)
  t.same(guard, { holding: true, since: 0 })
  guard = nextGuard(guard, { total: 10, silent: 1 }, 20_000, calm)
  t.equal(nextGuard(guard, { total: 10, silent: 1 }, 34_999, calm).holding, true)
})

t.test('a small loss holds nothing', async (t) => {
  t.same(nextGuard(idle, { total: 100, silent: 30 }, 0, calm), idle)
  t.same(nextGuard(idle, { total: 0, silent: 0 }, 0, calm), idle)
})

t.test(
  'after a power cut all that it took are suspects when the first is called lost, and no living one is',
  async (t) => {
    const terms = fc
      .record({
        heartbeatMs: fc.integer({ min: 100, max: 10_000 }),
        ratio: fc.double({ min: 2.5, max: 10, noNaN: true }),
      })
      .map(({ heartbeatMs, ratio }) => ({ heartbeatMs, lostAfterMs: heartbeatMs * ratio }))
    fc.assert(
      fc.property(terms, fc.double({ min: 0, max: 1, noNaN: true }), (terms, share) => {
        const limit = suspectAfterMs(terms)
        // Silent since some time within the last heartbeat before the cut.
        const dead = terms.lostAfterMs - share * terms.heartbeatMs
        const alive = share * terms.heartbeatMs
        return dead >= limit && alive < limit
      }),
    )
    t.equal(suspectAfterMs({ heartbeatMs: 2_000, lostAfterMs: 5_000 }), 2_500)
  },
)

t.test(
  'what is a mass in the part of one replica alone is held for one window, what is one of all until it ends',
  async (t) => {
    const part = { total: 10, silent: 9 }
    const few = { total: 100, silent: 9 }
    const many = { total: 100, silent: 40 }
    const windowMs = 15_000
    const held = nextGuard({ holding: false }, part, 0, windowMs, few)
    t.same(held, { holding: true, since: 0 })
    t.same(nextGuard(held, part, 14_999, windowMs, few), { holding: true, since: 0 })
    t.same(
      nextGuard(held, part, 15_000, windowMs, few),
      { holding: false },
      'they did not come to another replica',
    )
    t.same(nextGuard(held, part, 15_000, windowMs, many), { holding: true, since: 0 })
    t.same(nextGuard({ holding: false }, { total: 5, silent: 2 }, 0, windowMs, few), { holding: false })
  },
)
