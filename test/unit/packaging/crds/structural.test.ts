import t from 'tap'
import { Type } from 'typebox'
import { Moment } from '../../../../controller/store/kubernetes/moment.ts'
import { structural } from '../../../../packaging/crds/structural.ts'

const made = (schema: object) => structural(schema)

t.test('what has no type of its own gets one', async (t) => {
  t.same(made(Type.Enum(['a', 'b'])), { type: 'string', enum: ['a', 'b'] })
  t.same(made(Type.Union([Type.Literal('a'), Type.Literal('b')])), { type: 'string', enum: ['a', 'b'] })
  t.same(made(Type.Literal('a')), { type: 'string', enum: ['a'] })
  t.same(made(Moment), { type: 'string', format: 'date-time' })
  t.same(made(Type.Record(Type.String(), Type.String({ maxLength: 3 }))), {
    type: 'object',
    additionalProperties: { type: 'string', maxLength: 3 },
  })
})

t.test('a number or a text is the one union of types that there is', async (t) => {
  t.same(made(Type.Union([Type.Integer({ minimum: 1 }), Type.String({ pattern: '%$' })])), {
    minimum: 1,
    pattern: '%$',
    'x-kubernetes-int-or-string': true,
    anyOf: [{ type: 'integer' }, { type: 'string' }],
  })
  t.throws(() => made(Type.Union([Type.String(), Type.Boolean()])), { message: /several types/ })
})

t.test('objects keep what is required, and lose what is not said in a structural schema', async (t) => {
  const schema = Type.Object(
    { a: Type.String(), b: Type.Optional(Type.Integer()) },
    { additionalProperties: false },
  )
  t.same(made(schema), {
    type: 'object',
    properties: { a: { type: 'string' }, b: { type: 'integer', format: 'int64' } },
    required: ['a'],
  })
  t.throws(() => made(Type.Unknown()), { message: /no type/ })
})

t.test('patterns are those of RE2', async (t) => {
  t.equal(made(Type.String({ pattern: '^[^\\u0000]+$' })).pattern, '^[^\\x{0000}]+$')
  t.throws(() => made(Type.String({ pattern: '^(?=a)' })), { message: /RE2/ })
})
