import fc from 'fast-check'
import t from 'tap'
import { keptStatistics } from '../../../../agent/sidecar/kept-statistics.ts'
import { inboundCount, inboundFilter, parseStatistics } from '../../../../agent/sidecar/statistics.ts'

// As Envoy 1.40 with istiod 1.29 prints it.
const printed = `cluster.inbound|8080||;.upstream_cx_active: 2
cluster.inbound|9090||;.upstream_cx_active: 3
cluster.InboundPassthroughCluster;.upstream_cx_active: 4
cluster.xds-grpc;.http2.inbound_empty_frames_flood: 0
cluster.outbound|80||web.mesh;.upstream_cx_active: 50
http.InboundPassthroughCluster;.downstream_rq_active: 1
http.InboundPassthroughCluster;.downstream_rq_total: 5
http.inbound_10.78.0.11_8080;.downstream_rq_active: 1
http.inbound_10.78.0.11_8080;.downstream_rq_total: 100
http.outbound_0.0.0.0_80;.downstream_rq_active: 70
listener.0.0.0.0_15006.downstream_cx_active: 60
server.version: "1.40"
server.initialization_time_ms: P0(nan,120.0) P25(nan,122.5)
tcp.InboundPassthroughCluster.downstream_cx_total: 1
tcp.inbound|9090||.downstream_cx_total: 7
`

t.test(
  'inbound requests and connections are counted, idle connections and outbound traffic are not',
  async (t) => {
    t.same(inboundCount(parseStatistics(printed)), {
      activeRequests: 2,
      // 3 on the TCP port; undeclared ports had one TCP connection ever, so no more than one of 4 can be it.
      activeConnections: 4,
      arrived: 100 + 5 + 7 + 1,
    })
  },
)

t.test('a fresh Envoy has nothing', async (t) => {
  t.same(inboundCount(parseStatistics('')), { activeRequests: 0, activeConnections: 0, arrived: 0 })
})

t.test('what is asked for and kept is what is counted', async (t) => {
  const kept = (keptStatistics(undefined).inclusionRegexps as string[]).map((text) => new RegExp(text))
  const asked = new RegExp(inboundFilter)
  const wanted = [...parseStatistics(printed)].filter(([name]) => kept.some((one) => one.test(name)))
  t.same(inboundCount(new Map(wanted)), inboundCount(parseStatistics(printed)))
  for (const [name] of wanted) t.match(name, asked)
  t.notMatch(JSON.stringify(wanted), /outbound|xds|listener/)
})

t.test('the matcher of the mesh is kept', async (t) => {
  t.match(keptStatistics({ inclusionSuffixes: ['x'], inclusionRegexps: ['y'] }), { inclusionSuffixes: ['x'] })
  for (const odd of [null, 5, 'text', { inclusionRegexps: 'text' }]) {
    t.ok(Array.isArray(keptStatistics(odd).inclusionRegexps))
  }
})

t.test('any text is understood or left out, and numbers are never negative', async (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const value of parseStatistics(text).values()) if (!(value >= 0)) return false
      return true
    }),
  )
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[a-z|;._]{1,20}$/), fc.nat()), (values) => {
      const text = Object.entries(values).map(([name, value]) => `${name}: ${value}`)
      const parsed = parseStatistics(text.join('\n'))
      return Object.entries(values).every(([name, value]) => parsed.get(name) === value)
    }),
  )
  t.equal(parseStatistics('a: 1\nbroken\nb: x\nc: 2').size, 2)
})
