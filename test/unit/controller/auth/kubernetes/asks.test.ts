import t from 'tap'
import { type Question, questionOf } from '../../../../../controller/auth/kubernetes/asks.ts'
import { routeAttributes } from '../../../../../controller/auth/kubernetes/attributes.ts'
import type { PoolRule } from '../../../../../controller/auth/policy.ts'

const namespaces = new Map([
  ['web', 'shop'],
  ['api', 'shop'],
  ['db', 'data'],
])

function ask(route: string, rule: PoolRule, facts: object): Question {
  const attributes = routeAttributes[route]
  if (attributes === undefined) throw new Error(route)
  return questionOf(attributes, rule, { namespaces, ...facts })
}

t.test(
  'what an id leads to is asked about in the namespace of its pool, and hidden without get',
  async (t) => {
    const drain = ask('POST /v1/vms/:id/drain', 'vm', { name: 'vm-1', pool: 'web' })
    t.same(drain, {
      kind: 'every',
      asks: [
        {
          verb: 'create',
          resource: 'virtualmachines',
          subresource: 'drain',
          namespace: 'shop',
          name: 'vm-1',
        },
      ],
      refused: 'it needs create on virtualmachines.mesh.mooring/drain in the namespace of its pool',
      shown: { verb: 'get', resource: 'virtualmachines', namespace: 'shop', name: 'vm-1' },
    })
    t.match(ask('DELETE /v1/tokens/:id', 'token', { name: 't-1', pool: 'db' }), {
      asks: [{ verb: 'delete', resource: 'tokens', namespace: 'data' }],
      shown: { verb: 'list', resource: 'tokens', namespace: 'data' },
    })
    t.same(ask('GET /v1/vms/:id', 'vm', { name: 'vm-9' }), { kind: 'absent' })
  },
)

t.test('a VM whose pool is gone is for those who may do it everywhere', async (t) => {
  const question = ask('GET /v1/vms/:id', 'vm', { name: 'vm-1', pool: 'gone' })
  t.same(question.kind === 'every' && question.asks, [
    { verb: 'get', resource: 'virtualmachines', name: 'vm-1' },
  ])
})

t.test('a pool is made where it is to be, changed where it is, and moved by who may do both', async (t) => {
  const put = (facts: object) => ask('PUT /v1/pools/:name', 'path', facts)
  t.match(put({ name: 'new', pool: 'new', wanted: 'shop' }), {
    asks: [{ verb: 'create', resource: 'pools', namespace: 'shop', name: 'new' }],
    refused: 'it needs create on pools.mesh.mooring in the namespace shop',
  })
  t.same((put({ name: 'web', pool: 'web', wanted: 'shop' }) as { asks: unknown }).asks, [
    { verb: 'update', resource: 'pools', namespace: 'shop', name: 'web' },
  ])
  t.same((put({ name: 'web', pool: 'web', wanted: 'data' }) as { asks: unknown }).asks, [
    { verb: 'update', resource: 'pools', namespace: 'shop', name: 'web' },
    { verb: 'create', resource: 'pools', namespace: 'data', name: 'web' },
  ])
})

t.test('a refusal names no namespace that the request did not', async (t) => {
  for (const question of [
    ask('GET /v1/pools/:name', 'path', { name: 'db', pool: 'db' }),
    ask('GET /v1/pools/:name', 'path', { name: 'none', pool: 'none' }),
    ask('POST /v1/tokens', 'body', { pool: 'db' }),
    ask('PUT /v1/pools/:name', 'path', { name: 'db', pool: 'db', wanted: 'shop' }),
  ]) {
    t.match(question, { kind: 'every', refused: /^it needs / })
    t.notMatch((question as { refused: string }).refused, 'data')
  }
})

t.test('a list is asked about as a whole, then by namespace; of one pool by its own', async (t) => {
  t.same(ask('GET /v1/vms/events', 'listed', {}), {
    kind: 'listed',
    wide: { verb: 'watch', resource: 'virtualmachines' },
    places: [
      { ask: { verb: 'watch', resource: 'virtualmachines', namespace: 'shop' }, pools: ['web', 'api'] },
      { ask: { verb: 'watch', resource: 'virtualmachines', namespace: 'data' }, pools: ['db'] },
    ],
    refused: 'it needs watch on virtualmachines.mesh.mooring in a namespace with pools',
  })
  const one = ask('GET /v1/vms', 'listed', { pool: 'db' })
  t.same(one.kind === 'listed' && one.places.map(({ pools }) => pools), [['db']])
})

t.test('what is no object of a pool', async (t) => {
  t.same(ask('GET /metrics', 'none', {}), {
    kind: 'every',
    asks: [{ verb: 'get', path: '/metrics' }],
    refused: 'it needs get on the path /metrics',
  })
  t.same(ask('DELETE /v1/operators/:name', 'all', { name: 'ada' }), {
    kind: 'every',
    asks: [{ verb: 'delete', resource: 'operators', name: 'ada' }],
    refused: 'it needs delete on operators.mesh.mooring in the whole cluster',
  })
})
