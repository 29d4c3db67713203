import t from 'tap'
import { isExcused, type Window } from '../../soak/windows.ts'
import type { FailedRequest } from '../../world/load.ts'

const failure = (over: Partial<FailedRequest> = {}): FailedRequest => ({
  protocol: 'http1',
  requestBegunAt: 1_000,
  time: 2_000,
  code: 'ECONNRESET',
  detail: '',
  ...over,
})
const window = (over: Partial<Window> = {}): Window => ({
  victim: 'b',
  reason: 'power',
  from: 1_500,
  until: 1_800,
  ...over,
})

t.test('a request that was under way in a window is excused', async (t) => {
  t.equal(isExcused(failure(), [window()]), true)
  t.equal(isExcused(failure({ instance: 'b' }), [window()]), true)
  const lasting: Window = { victim: 'b', reason: 'power', from: 1_500 }
  t.equal(isExcused(failure({ time: 1_600 }), [lasting]), true, 'it lasts')
})

t.test('nothing else is', async (t) => {
  t.equal(isExcused(failure(), []), false)
  t.equal(isExcused(failure({ instance: 'a' }), [window()]), false, 'another had begun to answer')
  t.equal(isExcused(failure(), [window({ from: 2_001, until: 3_000 })]), false, 'it failed before')
  t.equal(isExcused(failure({ requestBegunAt: 1_801 }), [window()]), false, 'it began afterwards')
})
