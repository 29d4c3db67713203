import t from 'tap'
import { runDemo } from '../../world/demo-run.ts'

t.setTimeout(14 * 60_000)

t.test('the demo in a cluster keeps the same promises, with a pod as the client', async (t) => {
  t.equal((await runDemo(t, 'demo-kubernetes', '--mesh', 'kubernetes')).client, 'pod')
})
