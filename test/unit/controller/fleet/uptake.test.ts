import t from 'tap'
import { createUptake } from '../../../../controller/fleet/uptake.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { createFakeMesh } from '../../../fakes/mesh.ts'

const ref = { kind: 'WorkloadEntry', namespace: 'shop', name: 'vm-1' } as const

function waiting() {
  const clock = createFakeClock()
  const mesh = createFakeMesh({ clock })
  const over: string[] = []
  const uptake = createUptake({
    mesh,
    clock,
    log: silentLog,
    withinMs: 2_000,
    over: (vm) => over.push(vm),
  })
  return { clock, mesh, uptake, over }
}

t.test('a wait is over when istiod has taken the entry in, and stays over', async (t) => {
  const { clock, uptake, over, mesh } = waiting()
  t.equal(uptake.isOver('vm-1', 'a', ref), false)
  await clock.advance(0)
  t.same(over, ['vm-1'])
  t.equal(uptake.isOver('vm-1', 'a', ref), true)
  t.equal(mesh.calls.length, 1)
  t.equal(clock.sleepers, 0)
  t.equal(uptake.isOver('vm-1', 'b', ref), false, 'another wish waits anew')
})

t.test('a wait that istiod does not answer is over after its time', async (t) => {
  const { clock, uptake, over, mesh } = waiting()
  mesh.lags = true
  uptake.isOver('vm-1', 'a', ref)
  await clock.advance(1_999)
  t.same(over, [])
  await clock.advance(1)
  t.same(over, ['vm-1'])
  t.equal(uptake.isOver('vm-1', 'a', ref), true)
})

t.test('a wait that failed is over at once', async (t) => {
  const { clock, uptake, over, mesh } = waiting()
  mesh.taken = async () => {
    throw new Error('no')
  }
  uptake.isOver('vm-1', 'a', ref)
  await clock.advance(0)
  t.same(over, ['vm-1'])
})

t.test('a forgotten wait says nothing, and closing forgets all', async (t) => {
  const { clock, uptake, over, mesh } = waiting()
  mesh.lags = true
  uptake.isOver('vm-1', 'a', ref)
  uptake.isOver('vm-2', 'a', ref)
  uptake.forget('vm-1')
  uptake.close()
  await clock.advance(5_000)
  t.same(over, [])
  t.equal(clock.sleepers, 0)
})
