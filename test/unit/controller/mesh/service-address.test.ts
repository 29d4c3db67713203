import fc from 'fast-check'
import t from 'tap'
import type { IstioObject } from '../../../../controller/mesh/mesh.ts'
import { poolObjects } from '../../../../controller/mesh/objects.ts'
import {
  assignedAddresses,
  serviceAddress,
  serviceAddress6,
  serviceKey,
} from '../../../../controller/mesh/service-address.ts'
import { poolOf, webSpec } from './sample.ts'

function allocate(keys: readonly string[]): Map<string, string> {
  const taken = new Map<string, string>()
  for (const key of keys) taken.set(key, serviceAddress(key, taken))
  return taken
}

t.test('no two services share an address, and none ever moves', async (t) => {
  const keys = fc.uniqueArray(fc.domain(), { maxLength: 60 })
  fc.assert(
    fc.property(keys, fc.nat(), (hosts, drop) => {
      const taken = allocate(hosts)
      const before = new Map(taken)
      if (hosts.length > 0) taken.delete(hosts[drop % hosts.length] as string)
      taken.set('late', serviceAddress('late', taken))
      const kept = [...taken].filter(([key]) => before.has(key))
      return (
        new Set(taken.values()).size === taken.size &&
        kept.every(([key, address]) => serviceAddress(key, taken) === address && before.get(key) === address)
      )
    }),
  )
  t.pass('held for every set of hosts')
})

t.test('every address is inside 240.240.0.0/16, without its ends', async (t) => {
  for (const address of allocate(Array.from({ length: 2000 }, (_, i) => `ns/host-${i}`)).values()) {
    if (!/^240\.240\.\d+\.\d+$/.test(address)) t.fail(address)
    if (['240.240.0.0', '240.240.255.255'].includes(address)) t.fail(address)
  }
  t.pass('2000 addresses')
})

t.test('a colliding service gets the next place, and a full range is said', async (t) => {
  const address = serviceAddress('ns/a', new Map())
  const next = serviceAddress('ns/a', new Map([['ns/b', address]]))
  t.not(next, address)
  const full = new Map(
    Array.from({ length: 2 ** 16 }, (_, n) => [`ns/${n}`, `240.240.${n >> 8}.${n & 255}`] as const),
  )
  t.throws(() => serviceAddress('ns/new', full), { code: 'UNAVAILABLE' })
})

t.test('written ServiceEntries are the record of addresses', async (t) => {
  const objects = poolObjects('web', poolOf(webSpec), { address: '240.240.7.7' })
  const taken = assignedAddresses(objects)
  t.equal(taken.get(serviceKey('shop', 'web.shop.internal')), '240.240.7.7')
  t.equal(taken.size, 1)
  const bare = { ...objects[0], spec: {} } as IstioObject
  t.equal(assignedAddresses([bare]).size, 0)
})

t.test('the IPv6 address is made of the other one, and no two are the same', async (t) => {
  t.equal(serviceAddress6('240.240.0.9'), '2001:2::f0f0:9')
  t.equal(serviceAddress6('240.240.255.254'), '2001:2::f0f0:fffe')
  const all = Array.from({ length: 65_534 }, (_, i) => `240.240.${(i + 1) >> 8}.${(i + 1) & 255}`)
  t.equal(new Set(all.map(serviceAddress6)).size, all.length)
  const [entry] = poolObjects('web', poolOf(webSpec), {
    address: '240.240.7.7',
    address6: '2001:2::f0f0:707',
  })
  t.same(entry?.spec.addresses, ['240.240.7.7', '2001:2::f0f0:707'])
  const assigned = assignedAddresses(entry === undefined ? [] : [entry])
  t.same([...assigned.values()], ['240.240.7.7'], 'the first is the record of who has which')
})
