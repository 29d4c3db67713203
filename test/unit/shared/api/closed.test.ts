import t from 'tap'
import { type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { closed } from '../../../../shared/api/closed.ts'
import { PoolSpec } from '../../../../shared/api/operator.ts'
import { loopbackPool } from '../../../fakes/controller.ts'

t.test('keys that are not known are refused at every depth', async (t) => {
  const schema: TSchema = closed(
    Type.Object({
      a: Type.Object({ b: Type.Integer() }),
      list: Type.Array(Type.Object({ c: Type.Integer() })),
      map: Type.Record(Type.String(), Type.Integer()),
    }),
  )
  const good = { a: { b: 1 }, list: [{ c: 1 }], map: { anything: 1 } }
  t.ok(Value.Check(schema, good))
  t.notOk(Value.Check(schema, { ...good, d: 1 }))
  t.notOk(Value.Check(schema, { ...good, a: { b: 1, d: 1 } }))
  t.notOk(Value.Check(schema, { ...good, list: [{ c: 1, d: 1 }] }))
})

t.test('the schema that was given stays as it is', async (t) => {
  const before = JSON.stringify(PoolSpec)
  const strict = closed(PoolSpec)
  t.equal(JSON.stringify(PoolSpec), before)
  const pool = { ...loopbackPool, probe: { tcp: { port: 80 }, failuers: 3 } }
  t.ok(Value.Check(PoolSpec, pool))
  t.notOk(Value.Check(strict, pool))
})
