import t from 'tap'
import { createEntryPlaces, placeOfEntry } from '../../../../../controller/mesh/kubernetes/entry-places.ts'

const ref = (name: string, namespace = 'shop') => ({ kind: 'WorkloadEntry' as const, namespace, name })
const item = (address: string, more: { network?: string; adopt?: string; pool?: string } = {}) => ({
  metadata: {
    name: 'x',
    namespace: 'shop',
    uid: `uid of ${address}`,
    ...(more.adopt && { annotations: { 'mesh.mooring/adopt': more.adopt } }),
    ...(more.pool && { labels: { 'mesh.mooring/pool': more.pool } }),
  },
  spec: { address, ...(more.network && { network: more.network }) },
})
const at = (address: string, network = '', namespace = 'shop') => ({ namespace, address, network })
type Places = ReturnType<typeof createEntryPlaces>
const names = (found: ReturnType<Places['adoptable']>) => found.map((entry) => entry.ref.name)

t.test('another’s entry is in the way of VMs at its address, whatever its namespace', async (t) => {
  const places = createEntryPlaces()
  places.put(ref('theirs', 'elsewhere'), item('10.0.0.1'), false)
  places.put(ref('ours'), item('10.0.0.1', { pool: 'web' }), true)
  t.same(names(places.inTheWay(at('10.0.0.1'), 'web')), ['theirs'])
  t.same(places.inTheWay(at('10.0.0.2'), 'web'), [])
  places.put(ref('theirs', 'elsewhere'), item('10.0.0.2'), false)
  t.same(places.inTheWay(at('10.0.0.1'), 'web'), [], 'it moved')
  places.forget(ref('theirs', 'elsewhere'))
  t.same(places.inTheWay(at('10.0.0.2'), 'web'), [])
})

t.test('networks tell equal addresses apart, where both are named', async (t) => {
  const places = createEntryPlaces()
  places.put(ref('b'), item('10.0.0.1', { network: 'b' }), false)
  t.same(places.inTheWay(at('10.0.0.1', 'a'), 'web'), [])
  t.same(names(places.inTheWay(at('10.0.0.1', 'b'), 'web')), ['b'])
  t.same(names(places.inTheWay(at('10.0.0.1'), 'web')), ['b'])
})

t.test('what allows it is adopted by a VM of that pool and namespace, once it has its entry', async (t) => {
  const places = createEntryPlaces()
  places.put(ref('theirs'), item('10.0.0.1', { adopt: 'web' }), false)
  t.same(places.inTheWay(at('10.0.0.1'), 'web'), [])
  t.same(names(places.inTheWay(at('10.0.0.1'), 'other')), ['theirs'], 'not for another pool')
  t.same(names(places.inTheWay(at('10.0.0.1', '', 'side'), 'web')), ['theirs'], 'nor from another namespace')
  t.same(places.adoptable(), [], 'nobody took its place yet')
  places.put(ref('other'), item('10.0.0.1', { pool: 'other' }), true)
  t.same(places.adoptable(), [])
  places.put(ref('ours'), item('10.0.0.1', { pool: 'web' }), true)
  t.match(places.adoptable(), [{ ref: { name: 'theirs' }, uid: 'uid of 10.0.0.1', consent: 'web' }])
  places.put(ref('theirs'), item('10.0.0.1'), false)
  t.same(places.adoptable(), [], 'the consent was withdrawn')
})

t.test('ours needs no consent, and one without an address is nowhere', async (t) => {
  const places = createEntryPlaces()
  places.put(ref('a'), item('10.0.0.1', { adopt: 'web', pool: 'web' }), true)
  t.same(places.adoptable(), [])
  t.same(places.inTheWay(at('10.0.0.1'), 'web'), [])
  places.put(ref('b'), { metadata: { name: 'b' }, spec: { network: 'x' } }, false)
  t.equal(placeOfEntry('shop', { weight: 1 }), undefined)
  t.same(placeOfEntry('shop', { address: '10.0.0.1' }), at('10.0.0.1'))
})
