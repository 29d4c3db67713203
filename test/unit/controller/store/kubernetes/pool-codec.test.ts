import t from 'tap'
import {
  poolFields,
  poolSpec,
  poolTimes,
  writtenTimes,
} from '../../../../../controller/store/kubernetes/pool-codec.ts'
import { writtenAnnotation } from '../../../../../controller/store/kubernetes/resources.ts'
import { loopbackPool } from '../../../../fakes/controller.ts'

const metadata = { name: 'web', namespace: 'shop' }
/** As the API server would give it back. */
const wire = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

t.test('a pool comes back; one that kubectl changed has the time of that', async (t) => {
  t.same(poolSpec(wire(poolFields(loopbackPool)), loopbackPool.namespace), loopbackPool)
  t.throws(() => poolSpec({ ...poolFields(loopbackPool), typo: 1 }, 'x'), { code: 'REQUEST_INVALID' })
  const annotations = {
    [writtenAnnotation]: writtenTimes({ spec: loopbackPool, createdAt: 5, updatedAt: 7 }, 3),
  }
  const managedFields = [
    { time: '2027-01-15T08:00:00Z' },
    { time: '2027-01-16T08:00:00Z', subresource: 'status' },
  ]
  const at = (generation: number) => ({ metadata: { ...metadata, generation, annotations, managedFields } })
  t.same(poolTimes(at(3)), { createdAt: 5, updatedAt: 7 })
  t.same(poolTimes(at(4)), { createdAt: 5, updatedAt: 1_800_000_000_000 })
  const creationTimestamp = '2027-01-15T08:00:00Z'
  t.same(poolTimes({ metadata: { ...metadata, creationTimestamp } }), {
    createdAt: 1_800_000_000_000,
    updatedAt: 1_800_000_000_000,
  })
})
