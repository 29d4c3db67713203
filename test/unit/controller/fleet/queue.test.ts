import fc from 'fast-check'
import t from 'tap'
import { createQueue } from '../../../../controller/fleet/queue.ts'
import { isMooringError } from '../../../../shared/errors.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

/** A queue whose work is finished by hand. */
function byHand(options: { readonly parallel?: number } = {}) {
  const clock = createFakeClock()
  const begun: string[] = []
  /** Keys that were worked on twice at a time. */
  const clashes: string[] = []
  const open = new Map<string, { resolve: () => void; reject: (error: Error) => void }>()
  const queue = createQueue({
    clock,
    parallel: options.parallel ?? 8,
    retry: { baseMs: 100, maxMs: 1_000 },
    random: () => 0.5,
    work: (key) => {
      if (open.has(key)) clashes.push(key)
      begun.push(key)
      return new Promise((resolve, reject) => {
        open.set(key, {
          resolve: () => {
            open.delete(key)
            resolve()
          },
          reject: (error) => {
            open.delete(key)
            reject(error)
          },
        })
      })
    },
  })
  const finish = async (key: string, error?: Error) => {
    const work = open.get(key)
    if (error === undefined) work?.resolve()
    else work?.reject(error)
    await clock.advance(0)
  }
  return { clock, queue, begun, clashes, open, finish }
}

t.test('a key that is added many times while it waits is worked on once', async (t) => {
  const { queue, begun, finish } = byHand({ parallel: 1 })
  queue.add('first')
  for (let i = 0; i < 5; i += 1) queue.add('a')
  await finish('first')
  await finish('a')
  t.same(begun, ['first', 'a'])
  t.equal(queue.idle, true)
})

t.test('a key that is added while it is worked on is worked on again afterwards', async (t) => {
  const { queue, begun, finish } = byHand()
  queue.add('a')
  queue.add('a')
  queue.add('a')
  t.same(begun, ['a'])
  await finish('a')
  t.same(begun, ['a', 'a'])
  await finish('a')
  t.equal(queue.idle, true)
})

t.test('no more keys are worked on at a time than allowed', async (t) => {
  const { queue, open, finish } = byHand({ parallel: 2 })
  for (const key of ['a', 'b', 'c', 'd']) queue.add(key)
  t.same([...open.keys()], ['a', 'b'])
  t.equal(queue.depth, 2)
  await finish('b')
  t.same([...open.keys()], ['a', 'c'])
})

t.test('a key that fails is tried again, later and later, and at once when it is added', async (t) => {
  const { clock, queue, begun, finish } = byHand()
  queue.add('a')
  await finish('a', new Error('no'))
  await clock.advance(49)
  t.equal(begun.length, 1, 'half of 100 ms are not over')
  await clock.advance(1)
  t.equal(begun.length, 2)
  await finish('a', new Error('no'))
  await clock.advance(99)
  t.equal(begun.length, 2, 'half of 200 ms are not over')
  queue.add('a')
  t.equal(begun.length, 3)
  await finish('a')
  await clock.advance(100)
  await finish('a')
  queue.add('a')
  await finish('a', new Error('no'))
  const before = begun.length
  await clock.advance(50)
  t.equal(begun.length, before + 1, 'after a success the pauses start over')
})

t.test('the earlier of two times wins', async (t) => {
  const { clock, queue, begun } = byHand()
  queue.addAfter('a', 1_000)
  queue.addAfter('a', 10)
  queue.addAfter('a', 500)
  await clock.advance(9)
  t.same(begun, [])
  await clock.advance(1)
  t.same(begun, ['a'])
})

t.test('runNow overtakes what waits, and settles with the run that began after the call', async (t) => {
  const { queue, begun, finish } = byHand({ parallel: 1 })
  queue.add('a')
  queue.add('b')
  let settled = ''
  const promise = queue.runNow('a').then(
    () => (settled = 'done'),
    () => (settled = 'failed'),
  )
  await finish('a')
  t.equal(settled, '', 'the run that was under way does not count')
  t.same(begun, ['a', 'a'], 'b still waits')
  await finish('a')
  await promise
  t.equal(settled, 'done')
  const failing = queue.runNow('c')
  await finish('b')
  await Promise.all([t.rejects(failing, { message: 'no' }), finish('c', new Error('no'))])
})

t.test('runNow gives up when its signal is aborted; the work goes on', async (t) => {
  const { queue, open } = byHand()
  const abort = new AbortController()
  const promise = queue.runNow('a', abort.signal)
  abort.abort(new Error('tired'))
  await t.rejects(promise, { message: 'tired' })
  t.ok(open.has('a'))
  await t.rejects(queue.runNow('b', abort.signal), { message: 'tired' })
})

t.test('closing aborts what runs, drops what waits, and resolves when all is over', async (t) => {
  const clock = createFakeClock()
  const aborted: string[] = []
  const queue = createQueue({
    clock,
    parallel: 1,
    retry: { baseMs: 1, maxMs: 1 },
    work: (key, signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          aborted.push(key)
          reject(signal.reason)
        })
      }),
  })
  const waiting = queue.runNow('a')
  const dropped = queue.runNow('b')
  const outcomes = Promise.allSettled([waiting, dropped])
  await queue.close()
  for (const outcome of await outcomes) {
    t.equal(outcome.status === 'rejected' && isMooringError(outcome.reason, 'UNAVAILABLE'), true)
  }
  t.same(aborted, ['a'])
  queue.add('c')
  t.equal(queue.idle, true)
  t.equal(clock.sleepers, 0)
  await t.rejects(queue.runNow('d'))
})

type Step =
  | { readonly do: 'add' | 'finish' | 'fail' | 'runNow'; readonly key: string }
  | { readonly do: 'addAfter'; readonly key: string; readonly ms: number }
  | { readonly do: 'advance'; readonly ms: number }

const key = fc.constantFrom('a', 'b', 'c', 'd')
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('add', 'finish', 'fail', 'runNow'), key }) as fc.Arbitrary<Step>,
  fc.record({ do: fc.constant('addAfter'), key, ms: fc.nat(300) }) as fc.Arbitrary<Step>,
  fc.record({ do: fc.constant('advance'), ms: fc.nat(300) }) as fc.Arbitrary<Step>,
)

t.test('whatever happens, no key is lost and none is worked on twice at a time', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.integer({ min: 1, max: 3 }),
      async (steps, parallel) => {
        const { clock, queue, begun, clashes, open, finish } = byHand({ parallel })
        /** What was begun when each key was last added: a later run must follow. */
        const owed = new Map<string, number>()
        const runs = (key: string) => begun.filter((k) => k === key).length
        const promises: Promise<unknown>[] = []
        for (const step of steps) {
          if (step.do === 'advance') await clock.advance(step.ms)
          else if (step.do === 'finish') await finish(step.key)
          else if (step.do === 'fail') {
            if (open.has(step.key)) owed.set(step.key, runs(step.key))
            await finish(step.key, new Error('no'))
          } else {
            owed.set(step.key, runs(step.key))
            if (step.do === 'add') queue.add(step.key)
            else if (step.do === 'addAfter') queue.addAfter(step.key, step.ms)
            else promises.push(queue.runNow(step.key).catch(() => undefined))
          }
          if (open.size > parallel) return false
        }
        for (let i = 0; i < 40; i += 1) {
          for (const key of [...open.keys()]) await finish(key)
          await clock.advance(200)
        }
        await Promise.all(promises)
        return queue.idle && clashes.length === 0 && [...owed].every(([key, before]) => runs(key) > before)
      },
    ),
    { numRuns: 200 },
  )
  t.pass('held for 200 random histories')
})
