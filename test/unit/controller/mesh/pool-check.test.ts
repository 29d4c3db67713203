import t from 'tap'
import { checkPool } from '../../../../controller/mesh/pool-check.ts'
import type { PoolSpec } from '../../../../shared/api/operator.ts'
import { isMooringError } from '../../../../shared/errors.ts'
import { clientSpec, webSpec } from './sample.ts'

type Port = NonNullable<PoolSpec['service']>['ports'][number]

const none = new Map<string, PoolSpec>()

function fault(spec: PoolSpec, others: ReadonlyMap<string, PoolSpec> = none): string {
  try {
    checkPool('web', spec, others)
    return ''
  } catch (error) {
    return isMooringError(error, 'REQUEST_INVALID') ? (error.detail ?? '') : `not coded: ${error}`
  }
}

function withPorts(...ports: Port[]): PoolSpec {
  return { ...webSpec, service: { host: 'web.shop.internal', ports } }
}

const http: Port = { name: 'http', number: 80, protocol: 'HTTP' }

t.test('pools that istiod takes pass', async (t) => {
  for (const spec of [webSpec, clientSpec]) t.equal(fault(spec), '')
  t.equal(fault({ ...webSpec, labels: { 'example.com/team': 'a_b.c', empty: '' } }), '')
})

t.test('what istiod would refuse is refused first, and named', async (t) => {
  const host = (host: string): PoolSpec => ({ ...webSpec, service: { host, ports: [http] } })
  const cases: [PoolSpec, RegExp][] = [
    [{ ...webSpec, namespace: 'istio-system' }, /istio-system/],
    [{ ...webSpec, locality: 'a/b/c/d' }, /locality/],
    [{ ...webSpec, labels: { 'bad key': 'x' } }, /bad key/],
    [{ ...webSpec, labels: { '-x/y': 'x' } }, /prefix/],
    [{ ...webSpec, labels: { app: 'with space' } }, /app/],
    [{ ...webSpec, labels: { 'mesh.mooring/pool': 'other' } }, /own/],
    [host('a..b'), /DNS name/],
    [host(`${'a'.repeat(64)}.b`), /DNS name/],
    [withPorts(http, { ...http, number: 81 }), /two ports/],
    [withPorts(http, { ...http, name: 'b' }), /twice/],
    [withPorts({ ...http, target: 15006 }), /15006/],
    [withPorts({ ...http, number: 22 }), /22/],
    [withPorts(http, { name: 'tcp', number: 81, target: 80, protocol: 'TCP' }), /protocol/],
  ]
  for (const [spec, words] of cases) t.match(fault(spec), words)
})

t.test('pools of one host agree on its ports, not on their targets', async (t) => {
  const others = (spec: PoolSpec) => new Map([['canary', spec]])
  const mine = withPorts(http)
  t.equal(fault(mine, others(withPorts({ ...http, target: 8080 }))), '')
  t.match(fault(mine, others(withPorts({ ...http, protocol: 'TCP' }))), /canary.*port 80/)
  t.match(fault(mine, others(withPorts(http, { name: 'b', number: 90, protocol: 'TCP' }))), /port 90/)
  t.equal(fault(mine, others({ ...withPorts({ ...http, name: 'x' }), namespace: 'other' })), '')
  t.equal(fault(mine, new Map([['web', withPorts({ ...http, name: 'x' })]])), '', 'not with itself')
})
