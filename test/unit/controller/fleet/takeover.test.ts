import t from 'tap'
import { createListening } from '../../../../controller/fleet/listening.ts'
import { createTakeover } from '../../../../controller/fleet/takeover.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const old = { address: '10.0.0.1', bootId: 'b' }
const other = { address: '10.0.0.2', bootId: 'b' }

function alive() {
  const clock = createFakeClock()
  const clones: string[] = []
  let lastHeard = clock.now()
  const takeover = createTakeover({
    clock,
    listening: createListening({ clock }),
    lastHeard: () => lastHeard,
    heartbeatMs: () => 2_000,
    cloned: (vm, newcomer) => clones.push(`${vm} ${newcomer.address}`),
  })
  const hear = () => {
    lastHeard = clock.now()
  }
  return { clock, takeover, clones, hear }
}

t.test('the same boot at the same address takes over at once', async (t) => {
  const { takeover } = alive()
  t.equal(takeover.judge('vm-1', old, { ...old }), 'same')
})

t.test('a rebooted machine waits until its old stream is silent', async (t) => {
  const { clock, takeover, clones } = alive()
  const rebooted = { ...old, bootId: 'c' }
  t.equal(takeover.judge('vm-1', old, rebooted), 'wait')
  await clock.advance(4_001)
  t.equal(takeover.judge('vm-1', old, rebooted), 'same')
  t.same(clones, [])
})

t.test('a second machine is known by the first one, which goes on speaking', async (t) => {
  const { clock, takeover, clones, hear } = alive()
  t.equal(takeover.judge('vm-1', old, other), 'wait')
  await clock.advance(2_001)
  hear()
  t.equal(takeover.judge('vm-1', old, other), 'clone')
  t.same(clones, ['vm-1 10.0.0.2'])
})

t.test('a copy is not the VM because the controller stood still', async (t) => {
  const { clock, takeover, clones, hear } = alive()
  await clock.advance(1_000)
  clock.stall(30_000)
  t.equal(takeover.judge('vm-1', old, other), 'wait', 'heartbeats of the VM are not read yet')
  await clock.advance(2_001)
  hear()
  t.equal(takeover.judge('vm-1', old, other), 'clone')
  t.same(clones, ['vm-1 10.0.0.2'])
})

t.test('the time before and after a standstill counts', async (t) => {
  const { clock, takeover } = alive()
  await clock.advance(2_500)
  clock.stall(30_000)
  t.equal(takeover.judge('vm-1', old, other), 'wait')
  await clock.advance(2_500)
  t.equal(takeover.judge('vm-1', old, other), 'same')
})
