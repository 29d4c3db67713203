import t from 'tap'
import { existingService, poolFaults } from '../../../../../controller/mesh/kubernetes/pool-faults.ts'
import type { PoolSpec } from '../../../../../shared/api/operator.ts'
import { clientSpec, poolOf, webSpec } from '../sample.ts'

const none = { sidecars: [], services: new Map(), isGroupMissing: false, missingFacts: [] }
const sidecar = (selector: Record<string, string> | undefined, namespace = 'shop') => ({
  ...none,
  sidecars: [{ namespace, name: 'theirs', selector }],
})
const codes = (spec: PoolSpec, around: Parameters<typeof poolFaults>[2]) =>
  poolFaults('web', poolOf(spec), around).map(({ code }) => code)

t.test('a Sidecar that selects the pool’s VMs stands against it', async (t) => {
  t.same(codes(webSpec, none), [])
  t.same(codes(webSpec, sidecar({ tier: 'front' })), ['MESH_SIDECAR_CLASH'])
  t.same(codes(webSpec, sidecar({})), ['MESH_SIDECAR_CLASH'], 'an empty selector is for all')
  t.same(codes(webSpec, sidecar(undefined)), [], 'one without a selector yields to ours')
  t.same(codes(webSpec, sidecar({ tier: 'front', app: 'other' })), [])
  t.same(codes(webSpec, sidecar({ tier: 'front' }, 'elsewhere')), [])
})

t.test('the Service that a pool refers to must lead to its VMs', async (t) => {
  const service = { host: 'web.shop.svc.cluster.local', ports: webSpec.service?.ports ?? [], existing: true }
  const spec = { ...webSpec, service }
  t.equal(existingService(spec), 'shop/web')
  t.equal(existingService(webSpec), undefined)
  t.equal(existingService(clientSpec), undefined)
  const found = (value: unknown) => ({ ...none, services: new Map([['shop/web', value as null]]) })
  t.same(codes(spec, none), [], 'not looked for yet')
  t.same(codes(spec, found(null)), ['MESH_SERVICE_UNFIT'])
  t.same(codes(spec, found({ selector: undefined })), ['MESH_SERVICE_UNFIT'])
  t.same(codes(spec, found({ selector: {} })), ['MESH_SERVICE_UNFIT'])
  t.same(codes(spec, found({ selector: { tier: 'back' } })), ['MESH_SERVICE_UNFIT'])
  t.same(codes(spec, found({ selector: { tier: 'front' } })), [])
})

t.test('a WorkloadGroup or a revision that is not there stands against the pools that name it', async (t) => {
  const spec = { ...webSpec, workloadGroup: 'theirs', revision: 'canary' }
  t.same(codes(spec, none), [])
  const [group] = poolFaults('web', poolOf(spec), { ...none, isGroupMissing: true })
  t.match(group, { code: 'MESH_GROUP_MISSING', detail: /no WorkloadGroup shop\/theirs/ })
  const [facts] = poolFaults('web', poolOf(spec), { ...none, missingFacts: ['ConfigMap x', 'an address'] })
  t.match(facts, {
    code: 'MESH_FACTS_MISSING',
    detail: 'of revision canary there is missing: ConfigMap x, an address',
  })
})
