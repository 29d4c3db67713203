import fc from 'fast-check'
import t from 'tap'
import { lastVmIndex, uplinkAddresses, vmAddress, vmAddress6 } from '../../testbed/network/addresses.ts'
import { lowestFree, namespaceName, uplinkName } from '../../testbed/network/instance.ts'
import { parseStat } from '../../testbed/network/process-identity.ts'

t.test('addresses of VMs stay within their networks', async (t) => {
  t.equal(vmAddress('brm', 0), '10.77.0.10')
  t.equal(vmAddress('brs', 3), '10.79.0.13')
  t.equal(vmAddress('brm', lastVmIndex), '10.77.0.254')
  t.equal(vmAddress6('brm', '10.77.0.13'), 'fd77::13')
})

t.test('uplinks of instances never overlap', async (t) => {
  const all = Array.from({ length: 256 }, (_, number) => uplinkAddresses(number))
  t.equal(new Set(all.flatMap(({ outside, inside }) => [outside, inside])).size, 512)
  t.same(all[7], { outside: '10.78.7.1', inside: '10.78.7.2', prefix: 30 })
})

t.test('the name of an uplink fits the kernel and is unique to its instance', async (t) => {
  const name = uplinkName({ id: 'a-rather-long-name-of-a-test-1a2b3c', number: 255 })
  t.ok(name.length <= 15, name)
  t.not(name, uplinkName({ id: 'a-rather-long-name-of-a-test-1a2b3d', number: 255 }))
  t.equal(namespaceName({ id: 'x-1a2b3c' }, 'vm1'), 'mooring-x-1a2b3c-vm1')
})

t.test('the lowest free number is given', async (t) => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(20)), (numbers) => {
      const taken = new Set(numbers)
      const found = lowestFree(taken, 20)
      if (found === undefined) return taken.size === 21
      return !taken.has(found) && Array.from({ length: found }, (_, i) => i).every((i) => taken.has(i))
    }),
  )
  t.equal(lowestFree(new Set([0]), 0), undefined)
})

t.test('a process whose name holds brackets and blanks is read right', async (t) => {
  const fields = Array.from({ length: 49 }, (_, i) => String(i + 4))
  fields[18] = '987654'
  t.same(parseStat(`42 (odd) R (name) S ${fields.join(' ')}`), { state: 'S', startTime: '987654' })
  t.equal(parseStat('nonsense'), undefined)
})
