import t from 'tap'
import { createSuspicions } from '../../../../controller/join/suspicions.ts'

t.test('the first time of each newcomer counts, until it is forgotten or old', async (t) => {
  const suspicions = createSuspicions()
  t.equal(suspicions.since('vm-1', 'x', 100), undefined)
  suspicions.note('vm-1', 'x', 100)
  suspicions.note('vm-1', 'x', 200)
  t.equal(suspicions.since('vm-1', 'x', 300), 100)
  t.equal(suspicions.since('vm-1', 'y', 300), undefined, 'another newcomer')
  t.equal(suspicions.since('vm-1', 'x', 100 + 11 * 60_000), undefined, 'long ago')
  suspicions.note('vm-1', 'y', 400)
  t.equal(suspicions.since('vm-1', 'y', 500), 400)
  suspicions.forget('vm-1')
  t.equal(suspicions.since('vm-1', 'y', 500), undefined)
})
