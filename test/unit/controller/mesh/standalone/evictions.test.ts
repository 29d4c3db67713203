import t from 'tap'
import { evictionPolicy, meshObjects } from '../../../../../controller/mesh/objects.ts'
import { evictedAddresses } from '../../../../../controller/mesh/standalone/evictions.ts'
import { sentinel } from '../../../../../controller/mesh/standalone/sentinel.ts'
import { vmOf } from '../sample.ts'

t.test('the addresses of evicted VMs, and of nobody else', async (t) => {
  const objects = [
    ...meshObjects(),
    sentinel('n'),
    evictionPolicy('a', vmOf({ address: '10.0.0.11' })),
    evictionPolicy('b', vmOf({ address: 'fd00::1' })),
  ]
  const written = objects.map((object) => ({ object, revision: 'r-0' }))
  t.same([...evictedAddresses(written)].sort(), ['10.0.0.11', 'fd00::1'])
})
