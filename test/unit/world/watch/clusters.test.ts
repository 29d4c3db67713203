import t from 'tap'
import { endpointChanges, parseClusters } from '../../../world/watch/clusters.ts'

const text = `outbound|8080||echo.mooring.internal::observability_name::outbound|8080||echo.mooring.internal;
outbound|8080||echo.mooring.internal::default_priority::max_connections::4294967295
outbound|8080||echo.mooring.internal::10.77.0.11:8080::cx_active::1
outbound|8080||echo.mooring.internal::10.77.0.11:8080::health_flags::healthy
outbound|8081||echo.mooring.internal::10.77.0.11:8081::health_flags::healthy
outbound|8080||echo.mooring.internal::10.77.0.12:8080::health_flags::/failed_eds_health
outbound|8080||echo.mooring.internal::[fd77::13]:8080::health_flags::healthy
inbound|8080||::127.0.0.1:8080::health_flags::healthy
xds-grpc::./etc/istio/proxy/XDS::health_flags::healthy
`

t.test('open endpoints are those that an outbound cluster has in good health', async (t) => {
  const open = parseClusters(text)
  t.same([...open.keys()], ['10.77.0.11', '[fd77::13]'])
  t.same(
    [...(open.get('10.77.0.11') ?? [])],
    ['outbound|8080||echo.mooring.internal', 'outbound|8081||echo.mooring.internal'],
  )
  t.equal(parseClusters('').size, 0)
})

t.test('an endpoint is closed when the last cluster has dropped it', async (t) => {
  const before = new Map([['10.77.0.11', new Set(['a', 'b'])]])
  t.same(endpointChanges(before, new Map([['10.77.0.11', new Set(['b'])]])), { opened: [], closed: [] })
  t.same(endpointChanges(before, new Map([['10.77.0.12', new Set(['a'])]])), {
    opened: ['10.77.0.12'],
    closed: ['10.77.0.11'],
  })
})
