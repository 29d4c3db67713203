import t from 'tap'
import { addressOf } from '../../../bench/simulated/stage.ts'

t.test('every simulated VM has an address of its own', async (t) => {
  t.equal(addressOf(0), '10.90.0.1')
  t.equal(addressOf(250), '10.90.1.1')
  const all = new Set(Array.from({ length: 50_000 }, (_, index) => addressOf(index)))
  t.equal(all.size, 50_000)
  t.notOk([...all].some((address) => address.endsWith('.0') || address.endsWith('.255')))
})
