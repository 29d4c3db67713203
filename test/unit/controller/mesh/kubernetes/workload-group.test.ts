import t from 'tap'
import { readGroup, withGroup } from '../../../../../controller/mesh/kubernetes/workload-group.ts'
import { clientSpec, webSpec } from '../sample.ts'

t.test('a pool takes from its group what it leaves open', async (t) => {
  const group = {
    metadata: { labels: { app: 'web', version: 'v1' } },
    template: { labels: { team: 'a' }, locality: 'r/z', network: 'net-b', ports: { http: 8081, grpc: 9191 } },
    probe: { httpGet: { port: 8080 }, periodSeconds: 0, failureThreshold: 3 },
  }
  const read = readGroup(group)
  if (read === undefined) return t.fail('it is a group')
  const spec = withGroup(webSpec, read)
  t.same(spec.labels, { app: 'web', team: 'a', version: 'v2', tier: 'front' }, 'the pool goes before')
  t.equal(spec.locality, 'region-a/zone-1')
  t.equal(spec.address?.network, 'net-b')
  t.same(
    spec.service?.ports.map(({ name, target }) => [name, target]),
    [
      ['grpc', 9191],
      ['http', 8080],
    ],
  )
  t.same(spec.probe, {
    http: { path: '/', port: 8080 },
    periodSeconds: 10,
    timeoutSeconds: 1,
    successes: 1,
    failures: 3,
  })
  t.same(withGroup({ ...webSpec, probe: { tcp: { port: 1 } } }, read).probe, { tcp: { port: 1 } })
  t.equal(withGroup(clientSpec, read).locality, 'r/z')
  t.same(withGroup(clientSpec, {}), clientSpec)
})

t.test('every probe of a group has its like', async (t) => {
  const probe = (value: object) => withGroup(clientSpec, readGroup({ probe: value }) ?? {}).probe
  t.match(probe({ tcpSocket: { port: 5 } }), { tcp: { port: 5 } })
  t.match(probe({ grpc: { port: 5, service: 's' } }), { grpc: { port: 5, service: 's' } })
  t.match(probe({ exec: { command: ['/bin/true'] } }), { exec: { command: ['/bin/true'] } })
  t.equal(probe({ periodSeconds: 5 }), undefined, 'one that asks nothing is none')
})

t.test('a group that cannot be followed is none', async (t) => {
  for (const spec of [7, { template: { ports: { http: 70_000 } } }, { metadata: { labels: { a: 1 } } }]) {
    t.equal(readGroup(spec), undefined)
  }
})
