import t from 'tap'
import { parseMemory } from '../../bench/process-memory.ts'

const rollup = `55d1e0000000-7ffd5a1f2000 ---p 00000000 00:00 0                          [rollup]
Rss:               38112 kB
Pss:               20911 kB
Pss_Dirty:          3100 kB
Shared_Clean:      33000 kB
Shared_Dirty:          0 kB
Private_Clean:      2012 kB
Private_Dirty:      3100 kB
`

t.test('memory is read from smaps_rollup', async (t) => {
  t.same(parseMemory(rollup), { residentKb: 38_112, privateCleanKb: 2012, privateDirtyKb: 3100 })
  t.throws(() => parseMemory('Rss: 1 kB\n'), /Private_Clean/)
})
