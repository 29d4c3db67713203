import t from 'tap'
import {
  judgeMembers,
  type Member,
  type MemberRecord,
} from '../../../../controller/kubernetes/lease-members-plan.ts'

const durationMs = 9_000
const longestGapMs = 4_500

/** One replica that looks at the others, again and again. */
function watcher() {
  let members: ReadonlyMap<string, Member> = new Map()
  let lookedAt: number | undefined
  return {
    look(
      now: number,
      versions: Readonly<Record<string, string>>,
      asked: Readonly<Record<string, number>> = {},
    ) {
      const found: MemberRecord[] = Object.entries(versions).map(([identity, resourceVersion]) => ({
        ...{ identity, resourceVersion, durationMs },
      }))
      members = judgeMembers({
        ...{ before: members, found, now, lookedAt, longestGapMs },
        asked: new Map(Object.entries(asked)),
      })
      lookedAt = now
    },
    gone: (name: string) => members.get(name)?.isGone,
    aliveAt: (name: string) => members.get(name)?.aliveAt,
  }
}

t.test(
  'a replica whose Lease stands still is gone after its duration, and was alive until a look before',
  async (t) => {
    const { look, gone, aliveAt } = watcher()
    look(0, { a: '1', b: '1' })
    look(2_000, { a: '2', b: '2' })
    for (let now = 4_000; now <= 10_000; now += 2_000) {
      look(now, { a: String(now), b: '2' })
      t.equal(gone('b'), false, `at ${now}`)
    }
    look(12_000, { a: '12', b: '2' })
    t.equal(gone('b'), true)
    t.equal(aliveAt('b'), 0, 'its last renewal was after that look')
    t.equal(gone('a'), false)
    look(14_000, { a: '13', b: '3' })
    t.equal(gone('b'), false, 'one that renews is back')
  },
)

t.test('after an outage all Leases are old, and nobody is gone for that', async (t) => {
  const { look, gone } = watcher()
  look(0, { a: '1', b: '1' })
  look(2_000, { a: '2', b: '2' })
  look(302_000, { a: '2', b: '2' })
  t.equal(gone('b'), false)
  look(304_000, { a: '3', b: '2' })
  look(306_000, { a: '4', b: '3' })
  t.equal(gone('b'), false)
  for (let now = 308_000; now <= 316_000; now += 2_000) look(now, { a: String(now), b: '3' })
  t.equal(gone('b'), true, 'one that really is gone is seen to be, by the time after it')
})

t.test('one that takes its Lease away is gone at once, since then', async (t) => {
  const { look, gone, aliveAt } = watcher()
  look(0, { a: '1', b: '1' })
  look(2_000, { a: '2' })
  t.equal(gone('b'), true)
  t.equal(aliveAt('b'), 0)
  look(3_700_000, { a: '3' })
  t.equal(gone('b'), undefined, 'and in the end forgotten')
})

t.test('a name without a Lease is gone once a later look did not find it', async (t) => {
  const { look, gone, aliveAt } = watcher()
  look(0, { a: '1' })
  look(2_000, { a: '2', fresh: '1' }, { old: 1_000, fresh: 1_500 })
  t.equal(gone('old'), true)
  t.equal(aliveAt('old'), 1_000)
  t.equal(gone('fresh'), false, 'one that has just started')
})
