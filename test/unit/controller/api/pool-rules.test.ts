import t from 'tap'
import { checkPoolChange, checkPoolRules, poolRules } from '../../../../controller/api/pool-rules.ts'
import { loopbackPool } from '../../../fakes/controller.ts'

t.test('what a schema cannot say is said with the name of the field', async (t) => {
  checkPoolRules(loopbackPool)
  const wrong = [
    [{ join: { ...loopbackPool.join, cidrs: ['10.0.0.0/33'] } }, /join\/cidrs/],
    [{ join: { ...loopbackPool.join, cidrs: ['10.0.0/8'] } }, /join\/cidrs/],
    [{ address: { cidr: 'fd00::/129' } }, /address\/cidr/],
    [{ capture: { excludeOutboundCidrs: ['1.2.3.4/99'] } }, /excludeOutboundCidrs/],
    [{ liveness: { heartbeatSeconds: 5 } }, /lostAfterSeconds/],
    [{ liveness: { heartbeatSeconds: 1, lostAfterSeconds: 1 } }, /lostAfterSeconds/],
  ] as const
  for (const [over, detail] of wrong) {
    t.throws(() => checkPoolRules({ ...loopbackPool, ...over } as typeof loopbackPool), {
      code: 'REQUEST_INVALID',
      detail,
    })
  }
})

t.test('what refers to objects of a cluster needs one', async (t) => {
  const ports = [{ name: 'http', number: 80, protocol: 'HTTP' as const }]
  const existing = { ...loopbackPool, service: { host: 'web.default.svc', ports, existing: true } }
  const grouped = { ...loopbackPool, workloadGroup: 'web' }
  const none = new Map()
  for (const [spec, detail] of [
    [existing, /service\/existing/],
    [{ ...loopbackPool, revision: 'canary' }, /revision/],
    [grouped, /workloadGroup/],
  ] as const) {
    t.throws(() => poolRules('standalone')('web', spec, none), { code: 'REQUEST_INVALID', detail })
    poolRules('kubernetes')('web', spec, none)
  }
  poolRules('standalone')('web', loopbackPool, none)
})

t.test('all rules hold in either mesh, and namespaces may be few', async (t) => {
  const wrong = { ...loopbackPool, join: { ...loopbackPool.join, cidrs: ['10.0.0.0/33'] } }
  for (const mode of ['standalone', 'kubernetes'] as const) {
    t.throws(() => poolRules(mode)('web', wrong, new Map()), {
      code: 'REQUEST_INVALID',
      detail: /join\/cidrs/,
    })
    t.throws(() => poolRules(mode)('web', { ...loopbackPool, namespace: 'istio-system' }, new Map()), {
      code: 'REQUEST_INVALID',
      detail: /istio-system/,
    })
  }
  poolRules('kubernetes', ['default'])('web', loopbackPool, new Map())
  t.throws(() => poolRules('kubernetes', ['shop', 'bank'])('web', loopbackPool, new Map()), {
    code: 'REQUEST_INVALID',
    detail: /namespace must be one of shop, bank/,
  })
})

t.test('the identity of VMs that are there stays', async (t) => {
  checkPoolChange(loopbackPool, { ...loopbackPool, labels: { app: 'x' } })
  const code = 'REQUEST_INVALID'
  t.throws(() => checkPoolChange(loopbackPool, { ...loopbackPool, namespace: 'x' }), {
    code,
    detail: /namespace/,
  })
  t.throws(() => checkPoolChange(loopbackPool, { ...loopbackPool, serviceAccount: 'x' }), {
    code,
    detail: /serviceAccount/,
  })
})
