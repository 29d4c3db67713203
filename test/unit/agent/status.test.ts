import t from 'tap'
import { Value } from 'typebox/value'
import { createStatusBoard } from '../../../agent/status.ts'
import { AgentStatus } from '../../../shared/api/stream.ts'
import { createFakeClock } from '../../fakes/clock.ts'

function board() {
  return createStatusBoard({
    clock: createFakeClock(),
    facts: () => ({ bundleRevision: 'r1', sidecarRestarts: 2, sidecarVersion: '1.29.1' }),
  })
}

t.test('any number of changes in a row are told once, and what is no change never', async (t) => {
  const status = board()
  let told = 0
  const forget = status.onChange(() => {
    told += 1
  })
  status.set('HostFit', 'True', 'Done')
  status.setHealth('healthy')
  status.setStage('serving')
  t.equal(told, 0)
  await null
  t.equal(told, 1)
  status.set('HostFit', 'True', 'Done')
  status.setHealth('healthy')
  status.setStage('serving')
  await null
  t.equal(told, 1)
  status.touch()
  await null
  t.equal(told, 2)
  forget()
  status.setHealth('unhealthy')
  await null
  t.equal(told, 2)
})

t.test('the report fits the wire, however long a message is', async (t) => {
  const status = board()
  status.set('SidecarRunning', 'False', 'SIDECAR_EXITED', 'x'.repeat(10_000))
  const report = status.report()
  t.ok(Value.Check(AgentStatus, report))
  t.match(report, { health: 'unknown', bundleRevision: 'r1', sidecarVersion: '1.29.1', sidecarRestarts: 2 })
  t.match(report.conditions, [{ type: 'SidecarRunning', status: 'False' }])
})
