import { isIPv4 } from 'node:net'
import t from 'tap'
import { addressOf } from '../../../bench/standalone-limit/fleet.ts'

t.test('a thousand simulated VMs have a thousand addresses of their own', async (t) => {
  const addresses = Array.from({ length: 1000 }, (_, index) => addressOf(index))
  t.ok(addresses.every((address) => isIPv4(address) && address.startsWith('10.90.')))
  t.equal(new Set(addresses).size, 1000)
})
