import t, { type Test } from 'tap'
import type { KnownObject } from '../../../../../controller/mesh/kubernetes/cluster-object.ts'
import {
  createObjectCache,
  type ObjectChange,
} from '../../../../../controller/mesh/kubernetes/object-cache.ts'
import { refOf, sameObject, workloadEntry } from '../../../../../controller/mesh/objects.ts'
import { poolOf, vmOf, webSpec } from '../sample.ts'

const object = (address: string) =>
  workloadEntry({
    vm: 'vm-1',
    record: vmOf({ address }),
    poolName: 'web',
    pool: poolOf(webSpec),
    health: 'none',
  })
const ref = refOf(object('10.0.0.1'))
const at = (version: string, address = '10.0.0.1', uid = 'u'): KnownObject => ({
  object: object(address),
  uid,
  resourceVersion: version,
  generation: 1,
})

function open(_: Test) {
  const changes: ObjectChange[] = []
  const cache = createObjectCache({ same: sameObject, changed: (change) => changes.push(change) })
  return { cache, changes }
}

t.test('the echo of an own write is no change, whichever comes first', async (t) => {
  const { cache, changes } = open(t)
  cache.put(ref, at('5'))
  cache.observed(ref, at('5'), '5')
  cache.observed(ref, at('4', '10.9.9.9'), '4')
  t.equal(cache.get(ref)?.resourceVersion, '5', 'what is older does not count')
  await cache.writing(ref, async () => {
    cache.observed(ref, at('6', '10.0.0.2'), '6')
    cache.put(ref, at('6', '10.0.0.2'))
  })
  t.same(changes, [])
})

t.test('what others do is told: changed, replaced, deleted, made', async (t) => {
  const { cache, changes } = open(t)
  cache.put(ref, at('5'))
  cache.observed(ref, at('6', '10.9.9.9'), '6')
  cache.observed(ref, at('7', '10.9.9.9', 'other'), '7')
  cache.observed(ref, undefined, '8')
  cache.observed(ref, at('9'), '9')
  cache.vanished(ref)
  t.same(
    changes.map((change) => change.object?.spec.address),
    ['10.9.9.9', '10.9.9.9', undefined, '10.0.0.1', undefined],
  )
  t.equal(cache.get(ref), undefined)
  cache.observed(ref, at('10'), '10')
  t.equal(changes.length, 6)
  cache.observed(ref, at('11'), '11')
  t.equal(changes.length, 6, 'one that says the same is no change')
})

t.test('what came during a write is judged after it', async (t) => {
  const { cache, changes } = open(t)
  cache.put(ref, at('5'))
  await cache.writing(ref, async () => {
    cache.put(ref, at('6'))
    cache.observed(ref, at('7', '10.9.9.9'), '7')
    t.same(changes, [])
  })
  t.equal(changes.length, 1)
  await cache.writing(ref, async () => cache.vanished(ref))
  t.equal(changes.length, 1, 'a list may be older than what is being written')
})

t.test('after a write that failed nothing is taken for known, and changes are still told', async (t) => {
  const { cache, changes } = open(t)
  cache.put(ref, at('5'))
  cache.doubt(ref)
  t.equal(cache.get(ref), undefined)
  cache.observed(ref, undefined, '6')
  t.match(changes, [{ ref, object: undefined }])
  cache.put(ref, at('7'))
  cache.doubt(ref)
  cache.absent(ref)
  cache.observed(ref, undefined, '8')
  t.equal(changes.length, 1, 'its absence was known')
})

t.test('the watch has caught up when it has told the last write, or the end', async (t) => {
  const { cache } = open(t)
  const never = new AbortController().signal
  await cache.caughtUp(ref, never)
  let seen = 0
  const wait = async () => {
    await cache.caughtUp(ref, never)
    seen += 1
  }
  cache.put(ref, at('5'))
  const first = wait()
  cache.observed(ref, at('4'), '4')
  await Promise.resolve()
  t.equal(seen, 0)
  cache.observed(ref, at('5'), '5')
  await first
  cache.ended(ref)
  const second = wait()
  await Promise.resolve()
  t.equal(seen, 1)
  cache.observed(ref, undefined, '6')
  await second
  const late = new AbortController()
  cache.put(ref, at('9'))
  const third = cache.caughtUp(ref, late.signal)
  late.abort(new Error('too late'))
  await t.rejects(third, { message: 'too late' })
})
