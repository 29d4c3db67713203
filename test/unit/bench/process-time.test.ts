import t from 'tap'
import { parseChildCpuSeconds, parseCpuSeconds } from '../../bench/process-time.ts'

const stat = (name: string, user: number, system: number) =>
  `4711 (${name}) S 1 4711 4711 0 -1 4194560 5000 900 0 0 ${user} ${system} 77 33 20 0 7 0 12345 1000000 900 18446744073709551615`

t.test('CPU time is that of user and system; that of children is told apart', async (t) => {
  t.equal(parseCpuSeconds(stat('istiod', 150, 50)), 2)
  t.equal(parseCpuSeconds(stat('odd) S 1 (name', 0, 1)), 0.01)
  t.throws(() => parseCpuSeconds('nothing'), /stat/)
  t.equal(parseChildCpuSeconds(stat('agent', 150, 50)), 1.1)
})
