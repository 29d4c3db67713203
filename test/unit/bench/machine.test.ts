import t from 'tap'
import { describeMachine, renderMachine } from '../../bench/machine.ts'

t.test('a machine that is not at rest is said to be so', async (t) => {
  const machine = await describeMachine({ istioVersion: '1.29.1', envoyVersion: '1.40.0' })
  t.ok(machine.cores >= 1)
  t.equal(machine.istio, '1.29.1')
  const restless = 'not at rest'
  t.notOk(
    renderMachine({ ...machine, load: 0.1 })
      .join('\n')
      .includes(restless),
  )
  t.ok(
    renderMachine({ ...machine, load: 2.4 })
      .join('\n')
      .includes(`${restless} (load 2.4)`),
  )
})
