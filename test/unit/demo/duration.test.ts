import t from 'tap'
import { duration } from '../../../demo/duration.ts'

t.test('durations as a person says them', async (t) => {
  const said = [712, 9_994, 9_996, 12_440, 59_960, 185_000].map(duration)
  t.same(said, ['0.71 s', '9.99 s', '10.0 s', '12.4 s', '1 min 00 s', '3 min 05 s'])
})
