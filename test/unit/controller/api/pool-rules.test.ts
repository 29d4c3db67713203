import t from 'tap'
import { checkPoolChange, checkPoolRules } from '../../../../controller/api/pool-rules.ts'
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
