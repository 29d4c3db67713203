import t from 'tap'
import { statusLine } from '../../../agent/status-line.ts'
import type { Condition } from '../../../shared/conditions.ts'

const fault: Condition = {
  type: 'SidecarReady',
  status: 'False',
  reason: 'SIDECAR_NOT_READY',
  message: 'Envoy does not answer',
  since: 0,
}

t.test('it says what the VM is about, and what is wrong first', async (t) => {
  t.equal(statusLine({ stage: 'serving', conditions: () => [] }), 'serving')
  t.equal(
    statusLine({ stage: 'converging', conditions: () => [fault] }),
    'converging; SidecarReady: SIDECAR_NOT_READY Envoy does not answer',
  )
  t.equal(
    statusLine({ stage: 'converging', conditions: () => [{ ...fault, status: 'Unknown' }] }),
    'converging',
  )
})

t.test('what is not well while it leaves is meant so', async (t) => {
  for (const stage of ['draining', 'held', 'leaving', 'left'] as const)
    t.equal(statusLine({ stage, conditions: () => [fault] }), stage)
})
