import fc from 'fast-check'
import t from 'tap'
import { Type } from 'typebox'
import { readAnswer } from '../../../cli/answer.ts'
import { isMooringError } from '../../../shared/errors.ts'
import { now } from './samples.ts'

const schema = Type.Object({ a: Type.Integer() })
const json = {
  status: 200,
  contentType: 'application/json; charset=utf-8',
  retryAfter: undefined,
  body: '{"a":1,"new":2}',
}
const problem = (status: number, body: object, retryAfter?: string) => ({
  status,
  contentType: 'application/problem+json',
  retryAfter,
  body: JSON.stringify({ type: 't', title: 'T', status, ...body }),
})

t.test('a good answer is given, keys it does not know included', async (t) => {
  t.match(readAnswer(json, schema, now), { a: 1 })
  t.equal(readAnswer({ ...json, status: 204, contentType: '', body: '' }, undefined, now), undefined)
})

t.test('the error of the controller is thrown as it was meant', async (t) => {
  const read = (answer: Parameters<typeof readAnswer>[0]) => () => readAnswer(answer, schema, now)
  t.throws(read(problem(403, { code: 'FORBIDDEN', detail: 'role admin' })), {
    code: 'FORBIDDEN',
    detail: 'role admin',
  })
  t.throws(read(problem(429, { code: 'RATE_LIMITED' }, '7')), { code: 'RATE_LIMITED', retryAfterSeconds: 7 })
  t.throws(read(problem(503, { code: 'UNAVAILABLE' }, new Date(now + 5000).toUTCString())), {
    code: 'UNAVAILABLE',
    retryAfterSeconds: 5,
  })
  t.throws(read(problem(500, { code: 'INTERNAL', instance: 'r-9' })), {
    code: 'INTERNAL',
    detail: 'request r-9',
  })
  t.throws(read(problem(409, { code: 'FROM_THE_FUTURE', title: 'New trouble', fix: 'Do so.' })), {
    code: 'CONFLICT',
    detail: 'New trouble (FROM_THE_FUTURE). Do so.',
  })
})

t.test('what is no controller is said to be none', async (t) => {
  const cases = [
    { ...json, contentType: 'text/html', body: '<html>' },
    { ...json, body: '{"a":' },
    { ...json, body: '{"a":"x"}' },
    { ...json, status: 302 },
    { ...json, status: 502, contentType: 'text/html' },
    problem(500, { nothing: 1 }),
  ]
  for (const answer of cases)
    t.throws(() => readAnswer(answer, schema, now), { code: 'CONTROLLER_UNREACHABLE' })
})

t.test('no answer makes it throw anything but an error of the catalogue', async (t) => {
  const answer = fc.record({
    status: fc.integer({ min: 100, max: 599 }),
    contentType: fc.constantFrom('application/json', 'application/problem+json', 'text/plain', ''),
    retryAfter: fc.option(fc.string(), { nil: undefined }),
    body: fc.oneof(fc.string(), fc.json()),
  })
  fc.assert(
    fc.property(answer, (given) => {
      try {
        readAnswer(given, schema, now)
        return true
      } catch (error) {
        return isMooringError(error)
      }
    }),
  )
  t.pass('for all answers')
})
