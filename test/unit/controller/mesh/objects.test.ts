import { readFileSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { IstioObject } from '../../../../controller/mesh/mesh.ts'
import {
  canonical,
  evictionPolicy,
  meshObjects,
  poolObjects,
  refOf,
  revisionAnnotation,
  sameObject,
  workloadEntry,
} from '../../../../controller/mesh/objects.ts'
import type { PoolSpec } from '../../../../shared/api/operator.ts'
import { clientSpec, poolOf, vmOf, webSpec } from './sample.ts'

const address = '240.240.1.2'

/** Compares with a checked-in file; UPDATE_GOLDEN=1 writes it anew, for a person to read the difference. */
function golden(t: Test, name: string, value: unknown): void {
  const file = new URL(`golden/${name}.json`, import.meta.url)
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, `${JSON.stringify(value, undefined, 2)}\n`)
  t.strictSame(JSON.parse(JSON.stringify(value)), JSON.parse(readFileSync(file, 'utf8')), name)
}

function entry(fields: Partial<Parameters<typeof workloadEntry>[0]> = {}): IstioObject {
  return workloadEntry({
    vm: 'i-0123',
    record: vmOf(),
    poolName: 'web',
    pool: poolOf(webSpec),
    health: 'none',
    ...fields,
  })
}

t.test('the objects are what the golden files hold', async (t) => {
  golden(t, 'entry-none', entry())
  golden(t, 'entry-open', entry({ health: 'open' }))
  golden(t, 'entry-closed', entry({ health: 'closed', network: 'net-b' }))
  golden(t, 'entry-client', entry({ poolName: 'batch', pool: poolOf(clientSpec) }))
  golden(t, 'pool-web', poolObjects('web', poolOf(webSpec), { address }))
  golden(t, 'pool-client', poolObjects('batch', poolOf(clientSpec), { address }))
  golden(t, 'pool-web-kubernetes', poolObjects('web', poolOf(webSpec), { address }, 'kubernetes'))
  golden(t, 'mesh', meshObjects())
  golden(t, 'eviction', evictionPolicy('i-0123', vmOf()))
  golden(t, 'eviction-ipv6', evictionPolicy('i-0123', vmOf({ address: 'fd00::11' })))
})

t.test('in a cluster nothing is said for others, and what is there already is not made', async (t) => {
  t.same(meshObjects('kubernetes'), [])
  const kinds = (spec: PoolSpec) =>
    poolObjects('web', poolOf(spec), { address }, 'kubernetes').map(({ kind }) => kind)
  t.same(kinds(clientSpec), ['ServiceAccount', 'WorkloadGroup', 'Sidecar', 'PeerAuthentication'])
  const service = { host: 'web.shop.svc.cluster.local', ports: webSpec.service?.ports ?? [], existing: true }
  t.same(kinds({ ...webSpec, service, workloadGroup: 'own' }), [
    'ServiceAccount',
    'Sidecar',
    'PeerAuthentication',
  ])
})

t.test('an entry carries the pool network, and another one when told', async (t) => {
  const pool = poolOf({ ...webSpec, address: { network: 'net-a' } })
  t.equal(entry({ pool }).spec.network, 'net-a')
  t.equal(entry({ pool, network: 'net-b' }).spec.network, 'net-b')
  t.equal('network' in entry().spec, false)
})

t.test('pools of one host have the same ServiceEntry, whatever they listen on', async (t) => {
  const other: PoolSpec = {
    ...webSpec,
    serviceAccount: 'web-canary',
    labels: { version: 'v3' },
    service: {
      host: 'web.shop.internal',
      ports: [
        { name: 'http', number: 80, target: 8081, protocol: 'HTTP' },
        { name: 'grpc', number: 9090, protocol: 'GRPC' },
      ],
    },
  }
  const [mine] = poolObjects('web', poolOf(webSpec), { address })
  const [theirs] = poolObjects('canary', poolOf(other), { address })
  t.ok(mine !== undefined && theirs !== undefined && sameObject(mine, theirs))
  t.same(entry({ poolName: 'canary', pool: poolOf(other) }).spec.ports, { http: 8081, grpc: 9090 })
})

t.test('the Sidecar selects what the entry and the sidecar carry', async (t) => {
  const made = poolObjects('web', poolOf(webSpec), { address })
  t.same(
    made.map(({ kind }) => kind),
    ['ServiceEntry', 'Sidecar'],
  )
  const labels = entry().spec.labels as Record<string, string>
  for (const object of made) {
    const { labels: wanted } = object.spec.workloadSelector as { labels: Record<string, string> }
    for (const [key, value] of Object.entries(wanted)) t.equal(labels[key], value, key)
  }
})

t.test('ports with one target have one ingress listener', async (t) => {
  const spec: PoolSpec = {
    ...webSpec,
    service: {
      host: 'h',
      ports: [
        { name: 'a', number: 80, target: 8080, protocol: 'HTTP' },
        { name: 'b', number: 81, target: 8080, protocol: 'HTTP' },
      ],
    },
  }
  const [, sidecar] = poolObjects('web', poolOf(spec), { address })
  t.match(sidecar?.spec, { ingress: { length: 1 } })
})

t.test('sameness looks at meaning: not at the order of keys, not at the revision', async (t) => {
  const a = entry({ health: 'open' })
  const reordered = JSON.parse(JSON.stringify(Object.fromEntries(Object.entries(a).reverse()))) as IstioObject
  t.ok(sameObject(a, reordered))
  const annotations = { ...a.metadata.annotations, [revisionAnnotation]: 'x' }
  t.ok(sameObject(a, { ...a, metadata: { ...a.metadata, annotations } }))
  t.notOk(sameObject(a, entry({ health: 'closed' })))
  t.notOk(sameObject(a, entry({ health: 'open', record: vmOf({ address: '10.0.0.12' }) })))
  t.same(refOf(a), { kind: 'WorkloadEntry', name: 'i-0123', namespace: 'shop' })
})

t.test('canonical text is the same for the same value', async (t) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const entries = Object.entries(value)
      return canonical(Object.fromEntries(entries)) === canonical(Object.fromEntries(entries.reverse()))
    }),
  )
  t.not(canonical({ a: [1, 2] }), canonical({ a: [2, 1] }), 'the order of an array counts')
})
