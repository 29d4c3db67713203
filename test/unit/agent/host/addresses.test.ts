import t from 'tap'
import { createControllerAddresses, hasIpv6 } from '../../../../agent/host/addresses.ts'

t.test('an address is itself, a name is resolved, and a name of nobody is nothing', async (t) => {
  const clock = { now: () => 0 }
  t.same(await createControllerAddresses('192.0.2.1', clock).current(), ['192.0.2.1'])
  t.same(await createControllerAddresses('[2001:db8::1]', clock).current(), ['2001:db8::1'])
  t.ok((await createControllerAddresses('localhost', clock).current()).length > 0)
  t.same(await createControllerAddresses('no-such-name.invalid', clock).current(), [])
  t.type(hasIpv6(), 'boolean')
})
