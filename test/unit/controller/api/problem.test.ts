import t from 'tap'
import { Value } from 'typebox/value'
import { asMooringError, problemOf, retryAfter, schemaError } from '../../../../controller/api/problem.ts'
import { Problem } from '../../../../shared/api/join.ts'
import { type ErrorCode, errorCatalogue } from '../../../../shared/error-catalogue.ts'
import { MooringError } from '../../../../shared/errors.ts'

t.test('every error of the catalogue is a problem', async (t) => {
  for (const code of Object.keys(errorCatalogue) as ErrorCode[]) {
    const problem = problemOf(new MooringError(code, { detail: 'x'.repeat(9000) }), 'id')
    t.ok(Value.Check(Problem, problem), code)
    t.equal(problem.code, code)
  }
})

t.test('what nobody expected says nothing of itself', async (t) => {
  const problem = problemOf(asMooringError(new Error('password=hunter2')), 'id')
  t.equal(problem.code, 'INTERNAL')
  t.notMatch(JSON.stringify(problem), 'hunter2')
  t.equal(asMooringError(undefined).code, 'INTERNAL')
})

t.test('what the framework refuses has a code', async (t) => {
  const of = (code: string) => asMooringError(Object.assign(new Error('x'), { code })).code
  t.equal(of('FST_ERR_CTP_BODY_TOO_LARGE'), 'REQUEST_TOO_LARGE')
  t.equal(of('FST_ERR_CTP_INVALID_MEDIA_TYPE'), 'MEDIA_TYPE_UNSUPPORTED')
  t.equal(of('FST_ERR_CTP_INVALID_JSON_BODY'), 'REQUEST_INVALID')
  t.equal(of('FST_ERR_SOMETHING'), 'INTERNAL')
})

t.test('a schema error names the deepest field, and the key too many', async (t) => {
  t.equal(
    schemaError(
      [
        { instancePath: '/evidence', message: 'must match a schema in anyOf' },
        { instancePath: '/evidence/token', message: 'must be string' },
      ],
      'body',
    ).detail,
    'body/evidence/token must be string',
  )
  t.equal(
    schemaError(
      [
        {
          instancePath: '',
          message: 'must NOT have additional properties',
          params: { additionalProperty: 'x<y' },
        },
      ],
      'body',
    ).detail,
    'body must NOT have additional properties (x?y)',
  )
  t.equal(schemaError([], 'body').detail, 'body does not fit')
})

t.test('only what time mends says when to come back', async (t) => {
  t.equal(
    retryAfter(new MooringError('UNAVAILABLE', { retryAfterSeconds: 2.1 }), () => 0),
    3,
  )
  t.equal(
    retryAfter(new MooringError('UNAVAILABLE'), () => 0.99),
    5,
  )
  t.equal(
    retryAfter(new MooringError('ADDRESS_TAKEN', { retryAfterSeconds: 5 }), () => 0),
    5,
  )
  t.equal(
    retryAfter(new MooringError('TOKEN_INVALID'), () => 0),
    undefined,
  )
})
