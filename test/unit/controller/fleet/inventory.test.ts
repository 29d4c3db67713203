import t from 'tap'
import { createEffects } from '../../../../controller/effects.ts'
import { createInventory, placeOf } from '../../../../controller/fleet/inventory.ts'
import { evictionPolicy, refOf, workloadEntry } from '../../../../controller/mesh/objects.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { createFakeMesh } from '../../../fakes/mesh.ts'
import { record, webPool } from './situations.ts'

const { signal } = new AbortController()

function stocked() {
  const mesh = createFakeMesh({ clock: createFakeClock() })
  const effects: string[] = []
  const inventory = createInventory({ mesh, effects: createEffects({ after: (name) => effects.push(name) }) })
  return { mesh, effects, inventory }
}

const entry = (vm: string, health: 'open' | 'closed' | 'none', address = '10.0.0.1', network = '') =>
  workloadEntry({ vm, record: record({ address }), pool: webPool, poolName: 'web', health, network })

t.test('what is written is known, by reference, name and place', async (t) => {
  const { inventory } = stocked()
  const object = entry('vm-1', 'open')
  await inventory.applyEntry(object, signal)
  t.same(inventory.held(refOf(object)), object)
  t.same(inventory.entriesNamed('vm-1'), [refOf(object)])
  t.same(inventory.entriesAt(placeOf('10.0.0.1', '')), [refOf(object)])
  await inventory.applyEntry(entry('vm-1', 'open', '10.0.0.2'), signal)
  t.same(inventory.entriesAt(placeOf('10.0.0.1', '')), [])
  await inventory.removeEntry(refOf(object), false, signal)
  t.equal(inventory.held(refOf(object)), undefined)
  t.same(inventory.entriesNamed('vm-1'), [])
  t.same(inventory.entriesAt(placeOf('10.0.0.2', '')), [])
})

t.test('one address in two networks is two places', async (t) => {
  const { inventory } = stocked()
  await inventory.applyEntry(entry('vm-1', 'open', '10.0.0.1', 'east'), signal)
  t.equal(inventory.entriesAt(placeOf('10.0.0.1', 'east')).length, 1)
  t.equal(inventory.entriesAt(placeOf('10.0.0.1', 'west')).length, 0)
})

t.test('each kind of write is an effect of its own name', async (t) => {
  const { inventory, effects, mesh } = stocked()
  const ref = refOf(entry('vm-1', 'open'))
  const policy = evictionPolicy('vm-1', record())
  await inventory.applyEntry(entry('vm-1', 'none'), signal)
  await inventory.applyEntry(entry('vm-1', 'open'), signal)
  await inventory.applyEntry(entry('vm-1', 'closed'), signal)
  await inventory.removeEntry(ref, false, signal)
  await inventory.removeEntry(ref, true, signal)
  await inventory.applyEviction(policy, signal)
  await inventory.liftEviction(refOf(policy), signal)
  t.same(effects, [
    'entry-applied',
    'entry-applied',
    'entry-closed',
    'entry-removed',
    'stale-entry-removed',
    'eviction-applied',
    'eviction-lifted',
  ])
  t.equal(mesh.objects.size, 0)
})

t.test('after a write that failed it is not known what is there', async (t) => {
  const { inventory, mesh, effects } = stocked()
  const ref = refOf(entry('vm-1', 'open'))
  await inventory.applyEntry(entry('vm-1', 'open'), signal)
  mesh.fault = 'after'
  await t.rejects(inventory.applyEntry(entry('vm-1', 'closed'), signal))
  t.equal(inventory.held(ref), 'unknown')
  t.same(inventory.entriesNamed('vm-1'), [ref])
  t.same(inventory.entriesAt(placeOf('10.0.0.1', '')), [ref], 'it still counts at its address')
  mesh.fault = 'none'
  await inventory.applyEntry(entry('vm-1', 'closed'), signal)
  t.equal(effects.at(-1), 'entry-closed', 'it may have been open')
})

t.test('what others did is known, also by a list that was begun before', async (t) => {
  const { inventory, mesh } = stocked()
  const [kept, gone] = [entry('vm-kept', 'open'), entry('vm-gone', 'open', '10.0.0.2')]
  await inventory.applyEntry(kept, signal)
  await inventory.applyEntry(gone, signal)
  const moved = entry('vm-kept', 'open', '10.0.0.9')
  const loading = inventory.load(signal)
  inventory.observed(refOf(kept), moved)
  inventory.observed(refOf(gone), undefined)
  await loading
  t.same(inventory.held(refOf(kept)), moved)
  t.same(inventory.entriesAt(placeOf('10.0.0.9', '')), [refOf(kept)])
  t.equal(inventory.held(refOf(gone)), undefined)
  t.same(inventory.entriesNamed('vm-gone'), [])
  t.equal(mesh.objects.size, 2, 'nothing was written')
})

t.test('after a write into which somebody else’s came it is not known what is there', async (t) => {
  const { inventory, mesh } = stocked()
  const object = entry('vm-1', 'open')
  const ref = refOf(object)
  const { apply } = mesh
  mesh.apply = async (written, signal) => {
    await apply(written, signal)
    inventory.observed(ref, entry('vm-1', 'closed'))
  }
  await inventory.applyEntry(object, signal)
  t.equal(inventory.held(ref), 'unknown')
  mesh.apply = apply
  await inventory.applyEntry(object, signal)
  t.same(inventory.held(ref), object)
})

t.test('a list that was begun before a write does not take it back', async (t) => {
  const { inventory, mesh } = stocked()
  const gone = entry('vm-gone', 'open')
  const removed = entry('vm-removed', 'open', '10.0.0.3')
  mesh.plant(removed)
  await inventory.applyEntry(gone, signal)
  mesh.lose(refOf(gone))
  const list = mesh.list
  let answer = () => {}
  mesh.list = async (signal) => {
    const found = await list(signal)
    await new Promise<void>((resolve) => {
      answer = resolve
    })
    return found
  }
  const loading = inventory.load(signal)
  await new Promise((resolve) => setImmediate(resolve))
  const added = entry('vm-added', 'none', '10.0.0.2')
  await inventory.applyEntry(added, signal)
  await inventory.removeEntry(refOf(removed), false, signal)
  answer()
  await loading
  t.same(inventory.held(refOf(added)), added)
  t.equal(inventory.held(refOf(removed)), undefined)
  t.equal(inventory.held(refOf(gone)), undefined, 'what others took away is seen')
  t.same(
    inventory.objects().map((o) => o.metadata.name),
    ['vm-added'],
  )
})
