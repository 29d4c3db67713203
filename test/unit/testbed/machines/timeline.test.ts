import t from 'tap'
import { createTimeline } from '../../../testbed/machines/timeline.ts'

t.test('a timeline holds the first line of each point', async (t) => {
  const timeline = createTimeline([{ phase: 'agent', pattern: /joined/ }])
  timeline.take('nothing', 1)
  timeline.take(' joined as a ', 20.4)
  timeline.take('joined as b', 30)
  t.same(timeline.stamps, [{ phase: 'agent', ms: 20, line: 'joined as a' }])
  t.equal(timeline.has('agent'), true)
})
