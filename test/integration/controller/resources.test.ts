import t from 'tap'
import type {
  AuditRecord,
  OperatorCreated,
  PoolView,
  TokenView,
  VmExplanation,
  VmView,
} from '../../../shared/api/operator.ts'
import { loopbackPool, startController, type TestController } from '../../fakes/controller.ts'

async function setUp(t: { teardown(fn: () => Promise<void>): void }): Promise<TestController> {
  const house = await startController()
  t.teardown(() => house.close())
  return house
}

const codeOf = (answer: { readonly text: string }) => (JSON.parse(answer.text) as { code?: string }).code

t.test('a pool is made, changed, counted and deleted', async (t) => {
  const house = await setUp(t)
  const made = await house.call<PoolView>('PUT', '/v1/pools/web', loopbackPool)
  t.equal(made.status, 200)
  t.same(made.json().spec, loopbackPool)
  const changed = { ...loopbackPool, labels: { app: 'web' } }
  const again = (await house.call<PoolView>('PUT', '/v1/pools/web', changed)).json()
  t.equal(again.createdAt, made.json().createdAt)
  t.same(again.spec, changed)

  const { token } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  await agent.join()
  t.same((await house.call<PoolView>('GET', '/v1/pools/web')).json().counts, { joining: 1 })
  const moved = await house.call('PUT', '/v1/pools/web', { ...changed, namespace: 'elsewhere' })
  t.same([moved.status, codeOf(moved)], [400, 'REQUEST_INVALID'])
  const refused = await house.call('DELETE', '/v1/pools/web')
  t.same([refused.status, codeOf(refused)], [409, 'POOL_HAS_VMS'])

  await agent.open({ health: 'healthy' })
  agent.send({ kind: 'left' })
  await agent.next('bye')
  t.equal((await house.call('DELETE', '/v1/pools/web')).status, 204)
  t.equal((await house.call('GET', '/v1/pools/web')).status, 404)
  t.same((await house.call('GET', '/v1/tokens')).json(), [], 'its tokens went with it')
  t.equal((await house.call('DELETE', '/v1/pools/web')).status, 404)
  await t.rejects(agent.renew(), { code: 'POOL_UNKNOWN' })
})

t.test("a pool's objects follow it", async (t) => {
  const house = await setUp(t)
  const service = { host: 'web.internal', ports: [{ name: 'http', number: 80, protocol: 'HTTP' as const }] }
  await house.applyPool('web', { service })
  const kinds = () => [...house.mesh.objects.values()].map((o) => `${o.kind}/${o.metadata.name}`)
  while (!kinds().includes('Sidecar/web')) await new Promise((resolve) => setImmediate(resolve))
  t.ok(kinds().includes('ServiceEntry/web.internal'))
  await house.call('DELETE', '/v1/pools/web')
  while (kinds().includes('Sidecar/web')) await new Promise((resolve) => setImmediate(resolve))
  t.notOk(kinds().includes('ServiceEntry/web.internal'))
})

t.test('tokens are listed without their secret, and void when deleted', async (t) => {
  const house = await setUp(t)
  await house.applyPool('web')
  const { id, token, uses, expiresAt } = await house.token('web', { uses: 3, ttlSeconds: 60 })
  t.match(token, /^mrj_/)
  t.equal(uses, 3)
  const [listed] = (await house.call<TokenView[]>('GET', '/v1/tokens?pool=web')).json()
  t.same(listed, { id, pool: 'web', uses: 3, used: 0, expiresAt, createdBy: 'operator:admin' })
  t.same((await house.call('GET', '/v1/tokens?pool=other')).json(), [])
  t.equal((await house.call('DELETE', `/v1/tokens/${id}`)).status, 204)
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  await t.rejects(agent.join(), { code: 'TOKEN_INVALID' })
  t.equal((await house.call('DELETE', `/v1/tokens/${id}`)).status, 404)
  const nowhere = await house.call('POST', '/v1/tokens', { pool: 'nowhere' })
  t.same([nowhere.status, codeOf(nowhere)], [404, 'NOT_FOUND'])
})

t.test('operators come and go, and their tokens with them', async (t) => {
  const house = await setUp(t)
  const made = await house.call<OperatorCreated>('POST', '/v1/operators', { name: 'ada', role: 'viewer' })
  t.equal(made.status, 201)
  const { token } = made.json()
  t.match((await house.call('GET', '/v1/whoami', undefined, { token })).json(), {
    name: 'ada',
    role: 'viewer',
  })
  const twice = await house.call('POST', '/v1/operators', { name: 'ada', role: 'admin' })
  t.same([twice.status, codeOf(twice)], [409, 'CONFLICT'])
  t.equal((await house.call('DELETE', '/v1/operators/ada')).status, 204)
  t.equal((await house.call('GET', '/v1/whoami', undefined, { token })).status, 401)
  t.equal((await house.call('DELETE', '/v1/operators/ada')).status, 404)
})

t.test('a VM is explained, drained and removed; what was done is written down', async (t) => {
  const house = await setUp(t)
  await house.applyPool('web')
  const { token } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  await agent.join()
  const path = `/v1/vms/${agent.vm}`
  const why = (await house.call<VmExplanation>('GET', `${path}/explanation`)).json()
  t.match(why, { id: agent.vm, ready: false })
  await agent.open({ health: 'healthy' })
  const drained = await house.call<VmView>('POST', `${path}/drain`, { after: 'hold', deadlineSeconds: 5 })
  t.equal(drained.status, 202)
  t.match(await agent.next('drain'), { reason: 'operator', after: 'hold' })
  const removed = await house.call<VmView>('DELETE', `${path}?now=true`)
  t.equal(removed.status, 202)
  t.ok((await agent.next('bye')).revoked)
  t.equal(await agent.closed, 4003)
  for (const [method, of] of [
    ['GET', '/v1/vms/vm-absent'],
    ['GET', '/v1/vms/vm-absent/explanation'],
    ['DELETE', '/v1/vms/vm-absent'],
  ] as const) {
    t.equal((await house.call(method, of)).status, 404, of)
  }
  const records = (await house.call<AuditRecord[]>('GET', `/v1/audit?target=vm/${agent.vm}`)).json()
  const lines = records.map((r) => `${r.actor} ${r.action} ${r.outcome}`)
  t.ok(lines.includes(`vm:${agent.vm} join allowed`))
  t.ok(lines.includes('operator:admin vm.drain done'))
  t.ok(lines.includes('operator:admin vm.remove done'))
  const ours = records.filter((r) => r.action === 'join')
  t.equal(ours[0]?.address, '127.0.0.1')
})

t.test('the parts are shown to who asks, and a part that fails says so', async (t) => {
  const house = await setUp(t)
  t.match((await house.call('GET', '/readyz', undefined, { token: '' })).json(), { ready: true })
  house.mesh.health = () => [{ part: 'istiod', ok: false, detail: 'does not run' }]
  const answer = await house.call('GET', '/readyz', undefined, { token: '' })
  t.equal(answer.status, 503)
  t.match(answer.json(), { ready: false })
  t.match(answer.text, 'does not run')
  t.match((await house.call('GET', '/metrics')).text, 'mooring_mesh_part_ok{part="istiod"} 0')
  house.mesh.health = () => [{ part: 'istiod', ok: false, detail: 'does not run', needed: false }]
  t.match(
    (await house.call('GET', '/readyz', undefined, { token: '' })).json(),
    { ready: true, parts: [{}, {}, {}, { ok: false }] },
    'one that the controller is of use without',
  )
  t.equal(
    (await house.call('GET', '/healthz', undefined, { token: '' })).status,
    200,
    'the process itself is well',
  )
})

t.test('a join that the mesh cannot take is tried again by the agent, and is the same VM', async (t) => {
  const house = await setUp(t)
  await house.applyPool('web')
  const { token } = await house.token('web', { uses: 1 })
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  house.mesh.fault = 'before'
  const error = await agent.join().catch((e: unknown) => e)
  t.match(error, { status: 503 })
  t.ok((error as { retryAfter: number }).retryAfter > 0)
  house.mesh.fault = 'none'
  await agent.join()
  t.equal((await house.vms()).length, 1)
  t.same(house.mesh.endpoints(agent.vm), ['none'])
})
