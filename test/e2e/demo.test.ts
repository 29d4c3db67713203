import t from 'tap'
import { runDemo } from '../world/demo-run.ts'

t.test('the demo keeps what it promises, says so by its exit code, and leaves nothing', async (t) => {
  t.not((await runDemo(t, 'demo')).client, 'pod')
})
