import fc from 'fast-check'
import t from 'tap'
import { captureRules } from '../../../../agent/capture/rules.ts'
import { someBundle } from '../bundle.ts'

const facts = { controllerAddresses: ['10.0.0.1'], nameservers: ['10.0.0.53'], ipv6: false }
const listAfter = (args: readonly string[], flag: string) => args[args.indexOf(flag) + 1]?.split(',') ?? []

t.test('the arguments are exactly these', async (t) => {
  const { apply, cleanup, basis } = captureRules(someBundle(), facts)
  const common = [
    'istio-iptables',
    ...['-p', '15001', '-z', '15006', '-u', '1337', '-g', '1337', '-m', 'REDIRECT', '-i', '*'],
    ...['-x', '10.0.0.1/32,100.100.100.200/32,168.63.129.16/32,169.254.0.0/16,fd00:ec2::254/128,fe80::/10'],
    ...['-b', '*', '-d', '22,15000,15001,15004,15006,15020,15021,15053,15090'],
    '--redirect-dns',
  ]
  t.same(apply, [...common, '--reconcile'])
  t.same(cleanup, [...common, '--cleanup-only'])
  t.equal(basis, '10.0.0.53')
})

t.test("the pool's exclusions come on top", async (t) => {
  const { apply } = captureRules(
    someBundle((bundle) => {
      bundle.capture = {
        ...bundle.capture,
        excludeInboundPorts: [9100, 22],
        excludeOutboundPorts: [5432, 123],
        excludeOutboundCidrs: ['192.0.2.0/24'],
        excludeInterfaces: ['eth2', 'eth1'],
      }
    }),
    { ...facts, controllerAddresses: ['fd00::1', '10.0.0.1'] },
  )
  t.ok(listAfter(apply, '-d').includes('9100'))
  t.equal(listAfter(apply, '-d').filter((port) => port === '22').length, 1)
  t.same(listAfter(apply, '-o'), ['123', '5432'])
  t.same(listAfter(apply, '-c'), ['eth1', 'eth2'])
  for (const cidr of ['192.0.2.0/24', 'fd00::1/128', '10.0.0.1/32'])
    t.ok(listAfter(apply, '-x').includes(cidr))
})

t.test('IPv6 is captured where Envoy listens on it', async (t) => {
  const dual = (change: Parameters<typeof someBundle>[0], ipv6: boolean) =>
    captureRules(someBundle(change), { ...facts, ipv6 }).apply.includes('--dual-stack')
  t.notOk(dual(undefined, true), 'a mesh of IPv4')
  t.ok(
    dual((bundle) => {
      bundle.mesh.environment.ISTIO_DUAL_STACK = 'true'
    }, true),
  )
  t.ok(
    dual((bundle) => {
      bundle.workload.address = 'fd00::10'
    }, true),
  )
  t.notOk(
    dual((bundle) => {
      bundle.mesh.environment.ISTIO_DUAL_STACK = 'true'
    }, false),
    'a VM without IPv6',
  )
})

t.test('DNS is captured when it is asked for, and then the name servers matter', async (t) => {
  const bundle = someBundle((b) => {
    b.capture.dns = false
  })
  t.notOk(captureRules(bundle, facts).apply.includes('--redirect-dns'))
  t.equal(captureRules(bundle, facts).basis, '')
})

const port = fc.integer({ min: 1, max: 65_535 })
t.test(
  'whatever a pool says, SSH, metadata and controller stay out, and order does not matter',
  async (t) => {
    fc.assert(
      fc.property(fc.array(port), fc.array(port), fc.array(fc.ipV4()), (inbound, outbound, controllers) => {
        const rules = (turned: boolean) => {
          const turn = <T>(list: readonly T[]): T[] => (turned ? list.toReversed() : [...list])
          return captureRules(
            someBundle((bundle) => {
              bundle.capture.excludeInboundPorts = turn(inbound)
              bundle.capture.excludeOutboundPorts = turn(outbound)
            }),
            { ...facts, controllerAddresses: turn(controllers) },
          )
        }
        const { apply } = rules(false)
        return (
          ['22', '15006', '15021', ...inbound.map(String)].every((one) =>
            listAfter(apply, '-d').includes(one),
          ) &&
          ['169.254.0.0/16', ...controllers.map((one) => `${one}/32`)].every((one) =>
            listAfter(apply, '-x').includes(one),
          ) &&
          JSON.stringify(rules(true)) === JSON.stringify(rules(false))
        )
      }),
    )
    t.pass('for any exclusions')
  },
)
