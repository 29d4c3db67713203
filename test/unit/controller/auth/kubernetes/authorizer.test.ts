import t from 'tap'
import type { Requested } from '../../../../../controller/auth/authorizer.ts'
import type { Ask } from '../../../../../controller/auth/kubernetes/asks.ts'
import { createClusterAuthorizer } from '../../../../../controller/auth/kubernetes/authorizer.ts'
import type { ClusterPrincipal, PoolRule } from '../../../../../controller/auth/policy.ts'
import { openDatabase } from '../../../../../controller/store/database.ts'
import { createSqliteStore } from '../../../../../controller/store/sqlite.ts'
import { silentLog } from '../../../../../shared/log.ts'
import { loopbackPool } from '../../../../fakes/controller.ts'
import { fullRecord } from '../../../../fakes/kubernetes-store.ts'

const jane: ClusterPrincipal = {
  by: 'kubernetes',
  name: 'kubernetes:jane',
  user: { username: 'jane', uid: '', groups: [], extra: {} },
  pools: [],
}

/** An authorizer for a user with these permissions, as `verb resource[/subresource] [namespace]`. */
async function setUp(...permissions: readonly string[]) {
  const store = createSqliteStore({ database: openDatabase({ file: ':memory:' }), log: silentLog })
  for (const [name, namespace] of [
    ['web', 'shop'],
    ['db', 'data'],
  ] as const) {
    const value = { spec: { ...loopbackPool, namespace }, createdAt: 0, updatedAt: 0 }
    await store.commit([{ put: 'pool', name, value }])
  }
  await store.commit([{ put: 'vm', name: 'vm-1', value: { ...fullRecord, pool: 'web' } }])
  const asked: string[] = []
  const allows = async (_: unknown, ask: Ask) => {
    const words =
      'path' in ask
        ? `${ask.verb} ${ask.path}`
        : `${ask.verb} ${[ask.resource, ask.subresource].filter(Boolean).join('/')} ${ask.namespace ?? ''}`.trim()
    asked.push(words)
    return permissions.includes(words)
  }
  return { authorizer: createClusterAuthorizer({ reviews: { allows }, store }), asked }
}

function request(route: string, pool: PoolRule, more: Partial<Requested> = {}): Requested {
  return {
    route,
    access: { by: 'operator', role: 'viewer', pool },
    ...{ params: {}, query: {}, body: undefined },
    ...more,
  }
}

t.test('a list holds the pools of the namespaces that the user may list', async (t) => {
  const list = request('GET /v1/vms', 'listed')
  const wide = await setUp('list virtualmachines')
  t.same(await wide.authorizer.whole(jane, list), { allowed: true, pools: ['*'] })
  t.equal(wide.asked.length, 1)
  const some = await setUp('list virtualmachines data')
  t.same(await some.authorizer.whole(jane, list), { allowed: true, pools: ['db'] })
  const none = await setUp('list pools')
  t.match(await none.authorizer.whole(jane, list), {
    code: 'FORBIDDEN',
    detail: 'it needs list on virtualmachines.mesh.mooring in a namespace with pools',
  })
})

t.test('who may see a VM is told what is missing; to others it is not there', async (t) => {
  const drain = request('POST /v1/vms/:id/drain', 'vm', { params: { id: 'vm-1' } })
  t.same(await (await setUp('create virtualmachines/drain shop')).authorizer.whole(jane, drain), {
    allowed: true,
  })
  t.match(await (await setUp('get virtualmachines shop')).authorizer.whole(jane, drain), {
    code: 'FORBIDDEN',
    detail: /create on virtualmachines\.mesh\.mooring\/drain/,
  })
  const other = await setUp('get virtualmachines data', 'create virtualmachines/drain data')
  t.same(await other.authorizer.whole(jane, drain), { allowed: false, code: 'NOT_FOUND' })
  const unknown = { ...drain, params: { id: 'vm-9' } }
  t.same(await other.authorizer.whole(jane, unknown), { allowed: false, code: 'NOT_FOUND' })
})

t.test(
  'what is about the whole cluster is judged before the body is read; what is about a pool, after',
  async (t) => {
    const { authorizer, asked } = await setUp('create tokens shop')
    const upload = request('PUT /v1/artifacts/:sha256', 'all', { params: { sha256: 'a' } })
    t.match(await authorizer.early(jane, upload), { code: 'FORBIDDEN', detail: /create on artifacts/ })
    const token = request('POST /v1/tokens', 'body', { body: { pool: 'web' } })
    t.same(await authorizer.early(jane, { ...token, body: undefined }), { allowed: true })
    t.same(await authorizer.whole(jane, token), { allowed: true })
    t.match(await authorizer.whole(jane, { ...token, body: { pool: 'db' } }), {
      code: 'FORBIDDEN',
      detail: 'it needs create on tokens.mesh.mooring in the namespace of pool db',
    })
    t.same(asked, ['create artifacts', 'create tokens shop', 'create tokens data'])
  },
)

t.test('a route that the table does not have is closed', async (t) => {
  const { authorizer } = await setUp()
  t.equal((await authorizer.whole(jane, request('GET /v1/new', 'none'))).allowed, false)
})
