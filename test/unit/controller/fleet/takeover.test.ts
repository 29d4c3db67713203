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
  let remote: { bootId: string; lastHeard: number } | undefined
  const takeover = createTakeover({
    clock,
    listening: createListening({ clock }),
    lastHeard: () => lastHeard,
    heartbeatMs: () => 2_000,
    elsewhere: () => remote,
    cloned: (vm, newcomer) => clones.push(`${vm} ${newcomer.address}`),
  })
  const hear = () => {
    lastHeard = clock.now()
  }
  /** Another replica has its stream, and has not written that it fell silent; or has. */
  const heardElsewhere = (isSo: boolean) => {
    remote = isSo ? { bootId: 'b', lastHeard: clock.now() - 8_000 } : undefined
  }
  return { clock, takeover, clones, hear, heardElsewhere }
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

t.test(
  'a VM comes from another replica at once, and a machine that rebooted when that says so',
  async (t) => {
    const { clock, takeover, clones, heardElsewhere } = alive()
    heardElsewhere(true)
    t.equal(takeover.judge('vm-1', undefined, old), 'same')
    const rebooted = { ...old, bootId: 'c' }
    t.equal(takeover.judge('vm-1', undefined, rebooted), 'wait')
    await clock.advance(6_000)
    heardElsewhere(false)
    t.equal(takeover.judge('vm-1', undefined, rebooted), 'same')
    t.same(clones, [])
  },
)

t.test('a second machine is known although the first one speaks to another replica', async (t) => {
  const { clock, takeover, clones, heardElsewhere } = alive()
  const copy = { address: '10.0.0.2', bootId: 'c' }
  heardElsewhere(true)
  t.equal(takeover.judge('vm-1', undefined, copy), 'wait')
  await clock.advance(6_000)
  heardElsewhere(true)
  t.equal(takeover.judge('vm-1', undefined, copy), 'wait', 'it may have fallen silent since')
  await clock.advance(4_001)
  heardElsewhere(true)
  t.equal(takeover.judge('vm-1', undefined, copy), 'clone')
  t.same(clones, ['vm-1 10.0.0.2'])
})
