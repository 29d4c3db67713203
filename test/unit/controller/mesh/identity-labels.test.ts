import fc from 'fast-check'
import t from 'tap'
import { ownLabels, serviceLabel, workloadLabels } from '../../../../controller/mesh/identity-labels.ts'
import { clientSpec, webSpec } from './sample.ts'

t.test('a workload has the labels that Istio and its tools look for', async (t) => {
  t.same(workloadLabels('web', webSpec), {
    app: 'web',
    'service.istio.io/canonical-name': 'web',
    'service.istio.io/canonical-revision': 'v2',
    tier: 'front',
    version: 'v2',
    [ownLabels.pool]: 'web',
    [ownLabels.service]: 'web.shop.internal',
  })
  t.equal(workloadLabels('batch', clientSpec).app, 'batch')
  t.equal(workloadLabels('batch', clientSpec)[ownLabels.service], undefined)
})

t.test('a pool names its own application, and cannot take our labels', async (t) => {
  const labels = { app: 'mine', [ownLabels.pool]: 'other' }
  const made = workloadLabels('web', { ...webSpec, labels })
  t.equal(made['service.istio.io/canonical-name'], 'mine')
  t.equal(made[ownLabels.pool], 'web')
})

t.test('every host is a valid label value, and different hosts differ', async (t) => {
  const valid = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
  fc.assert(fc.property(fc.domain(), (host) => valid.test(serviceLabel(host.toLowerCase()))))
  const long = `${'a'.repeat(60)}.${'b'.repeat(60)}`
  t.match(serviceLabel(long), valid)
  t.not(serviceLabel(`${long}.c`), serviceLabel(`${long}.d`))
})
