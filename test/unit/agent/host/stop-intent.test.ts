import t from 'tap'
import type { ExecResult } from '../../../../agent/host/exec.ts'
import { askStopIntent, intentOf } from '../../../../agent/host/stop-intent.ts'

const answer = (result: Partial<ExecResult>) => async () => ({
  ...{ code: 0, signal: null, stdout: '', stderr: '', timedOut: false },
  ...result,
})

t.test('a stop of the unit means leaving; a restart and a mere signal do not', async (t) => {
  t.equal(
    intentOf(' 811 mooring-agent.service stop running\n 812 mooring-drain.service stop waiting\n'),
    'leave',
  )
  t.equal(intentOf('811 mooring-agent.service restart running'), 'aside')
  t.equal(intentOf('811 other.service stop running\n'), 'aside')
  t.equal(intentOf(''), 'aside')
})

t.test('no answer means leaving, in which nothing is lost', async (t) => {
  t.equal(await askStopIntent(answer({ stdout: '1 mooring-agent.service restart running\n' })), 'aside')
  t.equal(await askStopIntent(answer({ code: 1 })), 'leave')
  t.equal(await askStopIntent(answer({ code: null, timedOut: true })), 'leave')
})
