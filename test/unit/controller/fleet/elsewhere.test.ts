import t from 'tap'
import { censusElsewhere, hearElsewhere } from '../../../../controller/fleet/elsewhere.ts'
import type { Condition } from '../../../../shared/conditions.ts'
import { now, record } from './situations.ts'

const connected = (status: Condition['status'], reason = 'StreamOpen'): Condition => ({
  ...{ type: 'Connected', status, reason, message: '', since: now - 60_000 },
})

t.test(
  'a VM that is connected elsewhere was heard there not long ago, as nobody wrote otherwise',
  async (t) => {
    const terms = { lostAfterMs: 5_000 }
    const open = record({ phase: 'ready', conditions: [connected('True')] })
    t.same(hearElsewhere(open, terms, now), { connected: true, lastHeard: now - 8_000 })
    const closed = record({ phase: 'ready', conditions: [connected('False', 'StreamClosed')] })
    t.same(hearElsewhere(closed, terms, now), { connected: false, lastHeard: now - 60_000 })
    const lost = record({ phase: 'lost', conditions: [connected('True')] })
    t.equal(hearElsewhere(lost, terms, now).connected, false)
  },
)

t.test('those that others hold, or lost a moment ago, are silent', async (t) => {
  const held = record({ phase: 'ready', conditions: [connected('False', 'MassLoss')] })
  const records = [
    held,
    record({ phase: 'ready', conditions: [connected('True')] }),
    record({ phase: 'lost', phaseSince: now - 1_000 }),
    record({ phase: 'lost', phaseSince: now - 60_000 }),
    record({ phase: 'left' }),
    record({ phase: 'draining' }),
  ]
  t.same(censusElsewhere(records, 15_000, now), { total: 3, silent: 2 })
})
