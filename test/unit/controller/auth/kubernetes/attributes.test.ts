import t from 'tap'
import { questionOf } from '../../../../../controller/auth/kubernetes/asks.ts'
import { routeAttributes } from '../../../../../controller/auth/kubernetes/attributes.ts'
import { startController } from '../../../../fakes/controller.ts'

const house = await startController()
t.teardown(() => house.close())
const rules = house.controller.server.rules.flatMap(({ method, url, access }) =>
  access.by === 'operator' ? [{ route: `${method} ${url}`, rule: access.pool }] : [],
)

t.test('every route of operators is in the table, and no other', async (t) => {
  t.same(rules.map(({ route }) => route).toSorted(), Object.keys(routeAttributes).toSorted())
})

t.test('what is about pools is asked in their namespace, and nothing else is', async (t) => {
  for (const { route, rule } of rules) {
    const { of } = routeAttributes[route] ?? {}
    t.equal(of === 'pool', rule !== 'all' && rule !== 'none', route)
    if (rule === 'all') t.equal(of, 'cluster', route)
  }
})

t.test('only whoami is free for whoever is known', async (t) => {
  const namespaces = new Map([['web', 'shop']])
  for (const { route, rule } of rules) {
    const attributes = routeAttributes[route]
    if (attributes === undefined) return t.fail(route)
    const question = questionOf(attributes, rule, { name: 'x', pool: 'web', wanted: 'shop', namespaces })
    const asked = question.kind === 'listed' ? 1 : question.kind === 'every' ? question.asks.length : 0
    t.equal(asked, route === 'GET /v1/whoami' ? 0 : 1, route)
  }
})
