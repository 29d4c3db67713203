import t from 'tap'
import { questionOf } from '../../../../controller/auth/kubernetes/asks.ts'
import { routeAttributes } from '../../../../controller/auth/kubernetes/attributes.ts'
import { type OperatorRole, operatorRoles } from '../../../../packaging/rbac/operator-roles.ts'
import { type Role, roles } from '../../../../shared/api/operator.ts'
import { startController } from '../../../fakes/controller.ts'

type Ask = Extract<ReturnType<typeof questionOf>, { kind: 'every' }>['asks'][number]

function gives({ rules }: OperatorRole, ask: Ask): boolean {
  return rules.some((rule) => {
    if (!rule.verbs.includes(ask.verb)) return false
    if ('nonResourceURLs' in rule) return 'path' in ask && rule.nonResourceURLs.includes(ask.path)
    if ('path' in ask) return false
    const { resource, subresource } = ask
    return rule.resources.includes(subresource === undefined ? resource : `${resource}/${subresource}`)
  })
}

const house = await startController()
t.teardown(() => house.close())

t.test('each route is given by the roles that are like the one that it needs elsewhere', async (t) => {
  const namespaces = new Map([['web', 'shop']])
  for (const { method, url, access } of house.controller.server.rules) {
    if (access.by !== 'operator') continue
    const route = `${method} ${url}`
    const attributes = routeAttributes[route]
    if (attributes === undefined) return t.fail(route)
    for (const pool of ['web', 'new']) {
      const question = questionOf(attributes, access.pool, { name: 'x', pool, wanted: 'shop', namespaces })
      const asks =
        question.kind === 'listed' ? [question.wide] : question.kind === 'every' ? question.asks : []
      const holders = (ask: Ask): readonly Role[] =>
        operatorRoles.filter((role) => gives(role, ask)).map(({ like }) => like)
      for (const ask of asks) t.same(holders(ask), [access.role], `${route}: ${JSON.stringify(ask)}`)
    }
  }
})

t.test("Kubernetes' own roles take them in as they are ordered", async (t) => {
  const taken = operatorRoles.filter(({ into }) => into !== undefined)
  t.same(
    taken.map(({ into }) => into),
    ['view', 'edit', 'admin'],
  )
  t.same(
    taken.map(({ like }) => like),
    roles,
  )
  const owner = operatorRoles.find(({ suffix }) => suffix === 'owner')
  t.equal(owner?.into, undefined, 'who makes operators of the controller may do everything')
})
