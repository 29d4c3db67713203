import t from 'tap'
import {
  createControllerAddresses,
  createDeliveryAddress,
  deliveryAddress,
  hasIpv6,
} from '../../../../agent/host/addresses.ts'

t.test('an address is itself, a name is resolved, and a name of nobody is nothing', async (t) => {
  const clock = { now: () => 0 }
  t.same(await createControllerAddresses('192.0.2.1', clock).current(), ['192.0.2.1'])
  t.same(await createControllerAddresses('[2001:db8::1]', clock).current(), ['2001:db8::1'])
  t.ok((await createControllerAddresses('localhost', clock).current()).length > 0)
  t.same(await createControllerAddresses('no-such-name.invalid', clock).current(), [])
  t.type(hasIpv6(), 'boolean')
})

t.test('the application is asked where the sidecar delivers', async (t) => {
  const cases = [
    [['10.0.0.5'], '127.0.0.1'],
    [['2001:db8::5', '10.0.0.5'], '127.0.0.1'],
    [['fe80::1', '2001:db8::5'], '::1'],
    [['169.254.10.1', '2001:db8::5'], '::1'],
    // The link is down, or has no address yet.
    [['fe80::1'], '127.0.0.1'],
    [[], '127.0.0.1'],
  ] as const
  for (const [addresses, expected] of cases) {
    t.equal(deliveryAddress(addresses.map((address) => ({ address }))), expected, addresses.join(' '))
  }
  t.match(deliveryAddress(), /^(127\.0\.0\.1|::1)$/, 'and of this machine')
})

t.test('a machine with an IPv4 address is looked at rarely, another one every time', async (t) => {
  let now = 0
  let looks = 0
  let addresses = ['fe80::1']
  const where = createDeliveryAddress({ now: () => now }, () => {
    looks += 1
    return addresses.map((address) => ({ address }))
  })
  t.equal(where(), '127.0.0.1')
  addresses = ['2001:db8::5']
  t.equal(where(), '::1', 'its address came')
  addresses = ['2001:db8::5', '10.0.0.5']
  t.equal(where(), '127.0.0.1')
  t.equal(where(), '127.0.0.1')
  t.equal(looks, 3)
  addresses = ['2001:db8::5']
  now = 15_000
  t.equal(where(), '::1')
})
