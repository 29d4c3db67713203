import t from 'tap'
import { Value } from 'typebox/value'
import { bundle, bundleRevision } from '../../../../controller/mesh/bundle.ts'
import { workloadEntry } from '../../../../controller/mesh/objects.ts'
import { Bundle } from '../../../../shared/api/bundle.ts'
import { Secret } from '../../../../shared/secret.ts'
import { clientSpec, poolOf, sampleFacts, vmOf, webSpec } from './sample.ts'

const input = { vm: 'i-0123', record: vmOf(), poolName: 'web', pool: poolOf(webSpec), facts: sampleFacts }
const token = { token: new Secret('t-1'), expiresAt: 5 }

t.test('a bundle fits its schema, with all defaults in place', async (t) => {
  for (const spec of [webSpec, clientSpec]) {
    const made = bundle({ ...input, pool: poolOf(spec), token })
    t.same([...Value.Errors(Bundle, made)], [])
  }
  const made = bundle({ ...input, token })
  t.equal(made.drain.deadlineSeconds, 30)
  t.equal(made.drain.quietSeconds, 1.5)
  t.equal(made.capture.whenSidecarDown, 'closed')
  t.same(
    made.workload.ports.map((p) => [p.number, p.target]),
    [
      [80, 8080],
      [9090, 9090],
    ],
  )
  t.equal(made.workload.certificateTtlSeconds, sampleFacts.certificateTtlSeconds)
  t.equal(made.token.value, 't-1')
  t.notOk('probe' in made)
})

t.test('what the sidecar says of itself is what its entry says', async (t) => {
  const made = bundle({ ...input, token })
  const { spec } = workloadEntry({ ...input, health: 'open' })
  t.strictSame(made.workload.labels, spec.labels)
  t.equal(made.workload.serviceAccount, spec.serviceAccount)
  t.equal(made.workload.address, spec.address)
  t.equal(made.workload.locality, spec.locality)
})

t.test('a revision of istiod is a label of the sidecar alone', async (t) => {
  const facts = { ...sampleFacts, revision: 'canary' }
  const made = bundle({ ...input, facts, token })
  const { metadata, spec } = workloadEntry({ ...input, health: 'open' })
  t.strictSame(made.workload.labels, { ...(spec.labels as object), 'istio.io/rev': 'canary' })
  t.notOk(metadata.labels?.['istio.io/rev'], 'istiods of other revisions are to see it too')
  t.not(bundleRevision({ ...input, facts }), bundleRevision(input))
})

t.test('a probe gets the times that it leaves out', async (t) => {
  const pool = poolOf({ ...webSpec, probe: { http: { path: '/up', port: 8080 }, failures: 5 } })
  t.same(bundle({ ...input, pool, token }).probe, {
    http: { path: '/up', port: 8080 },
    periodSeconds: 1,
    timeoutSeconds: 1,
    failures: 5,
    successes: 1,
  })
})

t.test('the revision changes with everything but the token', async (t) => {
  const { revision } = bundle({ ...input, token })
  t.equal(bundleRevision(input), revision)
  t.equal(bundle({ ...input, token: { token: new Secret('t-2'), expiresAt: 9 } }).revision, revision)
  const others = [
    { ...input, record: vmOf({ address: '10.0.0.12' }) },
    { ...input, vm: 'i-9' },
    { ...input, facts: { ...sampleFacts, certificateTtlSeconds: 60 } },
    { ...input, pool: poolOf({ ...webSpec, drain: { deadlineSeconds: 31 } }) },
    { ...input, pool: poolOf({ ...webSpec, capture: { dns: false } }) },
    { ...input, facts: { ...sampleFacts, rootCertificates: 'PEM2' } },
    { ...input, facts: { ...sampleFacts, artifacts: [] } },
  ]
  const revisions = [revision, ...others.map(bundleRevision)]
  t.equal(new Set(revisions).size, revisions.length)
})

t.test('a record in another order is the same bundle', async (t) => {
  const labels = Object.fromEntries(Object.entries(webSpec.labels ?? {}).reverse())
  const ports = [...(webSpec.service?.ports ?? [])].reverse()
  const pool = poolOf({ ...webSpec, labels, service: { host: 'web.shop.internal', ports } })
  t.equal(bundleRevision({ ...input, pool }), bundleRevision(input))
})
