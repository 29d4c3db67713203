import { readFileSync } from 'node:fs'
import t from 'tap'
import type { IstioObject } from '../../../../../controller/mesh/mesh.ts'
import { poolObjects, revisionAnnotation, workloadEntry } from '../../../../../controller/mesh/objects.ts'
import { revisionOf } from '../../../../../controller/mesh/standalone/object-file.ts'
import {
  expectedRegistry,
  parseRegistry,
  parseRevisions,
  registryDifferences,
} from '../../../../../controller/mesh/standalone/registry.ts'
import { poolOf, vmOf, webSpec } from '../sample.ts'

/** What istiod 1.29.1 answered while it had exactly `objects`. */
function captured(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`captures/${name}.json`, import.meta.url), 'utf8'))
}

function entry(vm: string, address: string, health: 'open' | 'closed' | 'none'): IstioObject {
  return workloadEntry({ vm, record: vmOf({ address }), poolName: 'web', pool: poolOf(webSpec), health })
}

const service = poolObjects('web', poolOf(webSpec), { address: '240.240.0.9' })
const objects = [
  ...service,
  entry('vm-1', '10.0.0.11', 'open'),
  entry('vm-2', '10.0.0.12', 'closed'),
  entry('vm-3', '10.0.0.13', 'none'),
  entry('vm-4', 'fd00::14', 'open'),
]
const actual = parseRegistry(captured('registryz'), captured('endpointShardz'))

function differences(wanted: readonly IstioObject[]): string[] {
  const found = registryDifferences(wanted, expectedRegistry(wanted, 'cluster.local'), actual)
  return found.map(({ about, nudge, text }) => `${about.kind} ${about.name} | ${nudge?.name} | ${text}`)
}

function replaced(vm: string, by: IstioObject): IstioObject[] {
  return objects.map((object) => (object.metadata.name === vm ? by : object))
}

t.test('a real istiod with exactly these objects differs in nothing', async (t) => {
  t.same(differences(objects), [])
  t.equal(actual.size, 1)
  t.equal(actual.get('shop/web.shop.internal')?.endpoints.size, 4)
})

t.test('every kind of difference is seen and says which object to change', async (t) => {
  const [serviceEntry] = service as [IstioObject]
  const spec = { ...serviceEntry.spec, addresses: ['240.240.0.10'] }
  const cases: [string, IstioObject[], string[]][] = [
    [
      'a closed endpoint that should be open',
      replaced('vm-2', entry('vm-2', '10.0.0.12', 'open')),
      [
        'WorkloadEntry vm-2 | vm-2 | shop/web.shop.internal: endpoint 10.0.0.12|http is missing',
        'WorkloadEntry vm-2 | vm-2 | shop/web.shop.internal: endpoint 10.0.0.12|grpc is missing',
      ],
    ],
    [
      'an open endpoint that should be closed',
      replaced('vm-1', entry('vm-1', '10.0.0.11', 'closed')),
      [
        'WorkloadEntry vm-1 | vm-1 | shop/web.shop.internal: endpoint 10.0.0.11|http should be closed',
        'WorkloadEntry vm-1 | vm-1 | shop/web.shop.internal: endpoint 10.0.0.11|grpc should be closed',
      ],
    ],
    [
      'an entry that is gone: only its service can be changed',
      objects.filter(({ metadata }) => metadata.name !== 'vm-1'),
      [
        'WorkloadEntry vm-1 | web.shop.internal | shop/web.shop.internal: endpoint 10.0.0.11|http should be closed',
        'WorkloadEntry vm-1 | web.shop.internal | shop/web.shop.internal: endpoint 10.0.0.11|grpc should be closed',
      ],
    ],
    [
      'another address of a service',
      [{ ...serviceEntry, spec }, ...objects.slice(1)],
      [
        'ServiceEntry web.shop.internal | web.shop.internal | service shop/web.shop.internal has other ports or other addresses',
      ],
    ],
    [
      'a service that is gone',
      [],
      ['ServiceEntry web.shop.internal | undefined | service shop/web.shop.internal should be gone'],
    ],
  ]
  for (const [name, wanted, expected] of cases) t.same(differences(wanted).sort(), expected.sort(), name)
})

t.test('an empty registry misses services, named once each', async (t) => {
  const empty = parseRegistry([], {})
  const found = registryDifferences(objects, expectedRegistry(objects, 'cluster.local'), empty)
  t.same(
    found.map(({ text }) => text),
    ['service shop/web.shop.internal is missing'],
  )
})

t.test('content counts: identity, port, labels, locality, network', async (t) => {
  const base = objects[2] as IstioObject
  const changes: Record<string, unknown>[] = [
    { serviceAccount: 'other' },
    { ports: { http: 1 } },
    { labels: { ...(base.spec.labels as object), tier: 'back' } },
    { locality: 'region-b' },
    { network: 'net-b' },
  ]
  for (const change of changes) {
    const changed = { ...base, spec: { ...base.spec, ...change } }
    t.match(differences(replaced('vm-1', changed)), [/is old/], JSON.stringify(change))
  }
})

t.test('revisions of everything that istiod has read', async (t) => {
  const revisions = parseRevisions(captured('configz'), revisionAnnotation)
  t.equal(revisions.get('WorkloadEntry shop/vm-1'), revisionOf(objects[2] as IstioObject))
  t.equal(revisions.get('Sidecar shop/web'), revisionOf(service[1] as IstioObject))
  t.equal(revisions.get('PeerAuthentication istio-system/default')?.length, 18)
})

t.test('answers of another form are not believed', async (t) => {
  t.throws(() => parseRegistry({}, {}), { code: 'MESH_UNAVAILABLE' })
  t.throws(() => parseRegistry([], []), { code: 'MESH_UNAVAILABLE' })
  t.throws(() => parseRevisions('x', revisionAnnotation), { code: 'MESH_UNAVAILABLE' })
})

t.test('a service with addresses of both families is known by both', async (t) => {
  const both = poolObjects('web', poolOf(webSpec), { address: '240.240.0.9', address6: '2001:2::f0f0:9' })
  const answer = captured('registryz') as { defaultAddress: string }[]
  const twice = answer.flatMap((one) => [one, { ...one, defaultAddress: '2001:2::f0f0:9' }])
  const wanted = [...both, ...objects.filter(({ kind }) => kind === 'WorkloadEntry')]
  const expected = expectedRegistry(wanted, 'cluster.local')
  const differ = (services: unknown) =>
    registryDifferences(wanted, expected, parseRegistry(services, captured('endpointShardz'))).length
  t.equal(differ(twice), 0)
  t.equal(differ(answer), 1, 'one of them alone is not enough')
})
