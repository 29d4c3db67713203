import t from 'tap'
import type { IstioObject } from '../../../../../controller/mesh/mesh.ts'
import { evictionPolicy, poolObjects, refOf, workloadEntry } from '../../../../../controller/mesh/objects.ts'
import type { IstiodView } from '../../../../../controller/mesh/standalone/istiod-view.ts'
import { refText } from '../../../../../controller/mesh/standalone/object-file.ts'
import { openObjectFolder } from '../../../../../controller/mesh/standalone/object-folder.ts'
import { expectedRegistry } from '../../../../../controller/mesh/standalone/registry.ts'
import { createRegistryWatch } from '../../../../../controller/mesh/standalone/registry-watch.ts'
import { MooringError } from '../../../../../shared/errors.ts'
import { silentLog } from '../../../../../shared/log.ts'
import { poolOf, vmOf, webSpec } from '../sample.ts'
import { createFakeClock } from './fake-clock.ts'

const never = new AbortController().signal
const service = poolObjects('web', poolOf(webSpec), { address: '240.240.0.9' })

function entry(vm: string, health: 'open' | 'closed'): IstioObject {
  const record = vmOf({ address: `10.0.0.${vm}` })
  return workloadEntry({ vm: `vm-${vm}`, record, poolName: 'web', pool: poolOf(webSpec), health })
}

/** An istiod whose registry holds what the test says, and which has read what it is told to have read. */
async function setUp(t: { testdir(): string }) {
  const clock = createFakeClock()
  const folder = await openObjectFolder(t.testdir(), clock)
  const watch = createRegistryWatch({ folder, trustDomain: 'cluster.local', clock, log: silentLog })
  const state = { served: [] as IstioObject[], looks: 0, answers: true }
  const view: IstiodView = {
    async registry() {
      state.looks += 1
      if (!state.answers) throw new MooringError('MESH_UNAVAILABLE')
      return expectedRegistry(state.served, 'cluster.local')
    },
    revisions: async () => new Map(folder.written().map((w) => [refText(refOf(w.object)), w.revision])),
    policyInForce: async (revision) => folder.written().some((w) => w.revision === revision),
  }
  return { folder, clock, watch, view, state }
}

t.test('an entry is taken when the registry shows it, closed or open', async (t) => {
  const { folder, watch, view, state } = await setUp(t)
  for (const object of [...service, entry('1', 'open')]) await folder.put(object)
  state.served = [...service, entry('1', 'closed')]
  watch.look(view)
  let done = false
  const taken = watch.taken(refOf(entry('1', 'open')), never).then(() => {
    done = true
  })
  while (state.looks < 3) await new Promise((resolve) => setImmediate(resolve))
  t.equal(done, false)
  state.served = [...service, entry('1', 'open')]
  await taken
  t.equal(done, true)
})

t.test('what was removed is taken when the registry has lost it', async (t) => {
  const { folder, watch, view, state } = await setUp(t)
  for (const object of service) await folder.put(object)
  state.served = [...service, entry('1', 'open')]
  watch.look(view)
  await t.rejects(watch.taken(refOf(entry('1', 'open')), never), { code: 'MESH_LAGS' })
  state.served = service
  await watch.taken(refOf(entry('1', 'open')), never)
  await watch.taken(refOf(service[1] as IstioObject), never)
  await watch.taken(refOf(evictionPolicy('vm-1', vmOf())), never)
})

t.test('many waiters share few looks', async (t) => {
  const { folder, watch, view, state } = await setUp(t)
  for (const object of [...service, entry('1', 'open')]) await folder.put(object)
  state.served = [...service, entry('1', 'open')]
  watch.look(view)
  await Promise.all(Array.from({ length: 50 }, () => watch.taken(refOf(entry('1', 'open')), never)))
  t.ok(state.looks <= 2, `${state.looks} looks`)
})

t.test('an object that istiod read but missed is written again, and only that', async (t) => {
  const { folder, watch, view, state } = await setUp(t)
  for (const object of [...service, entry('1', 'open'), entry('2', 'open')]) await folder.put(object)
  const revision = (object: IstioObject) => folder.find(refOf(object))?.revision
  const [one, two] = [revision(entry('1', 'open')), revision(entry('2', 'open'))]
  state.served = [...service, entry('2', 'open')]
  watch.look(view)
  const settled = watch.settled(never)
  while (revision(entry('1', 'open')) === one) await new Promise((resolve) => setImmediate(resolve))
  t.equal(revision(entry('2', 'open')), two)
  state.served = [...service, entry('1', 'open'), entry('2', 'open')]
  await settled
  t.equal(watch.lag(), undefined)
})

t.test('a lasting difference becomes an alarm that names it', async (t) => {
  const { folder, clock, watch, view, state } = await setUp(t)
  for (const object of [...service, entry('1', 'open')]) await folder.put(object)
  state.served = service
  watch.look(view)
  const busy = await watch.check(never)
  t.equal(watch.lag(), undefined, 'not at once')
  clock.advance(6_000)
  await watch.check(never)
  t.match(watch.lag(), /10\.0\.0\.1\|.*1 more/)
  state.served = [...service, entry('1', 'open')]
  t.ok((await watch.check(never)) > busy, 'then it looks less often')
  t.equal(watch.lag(), undefined)
})

t.test('an istiod that does not answer is waited for, not for ever', async (t) => {
  const { folder, clock, watch, view, state } = await setUp(t)
  for (const object of service) await folder.put(object)
  const [ref] = service.map(refOf) as [ReturnType<typeof refOf>]
  await t.rejects(watch.taken(ref, never), { code: 'MESH_UNAVAILABLE' }, 'there is none')
  watch.look(view)
  state.answers = false
  await t.rejects(watch.taken(ref, never), { code: 'MESH_UNAVAILABLE' })
  const before = watch.silentFor()
  clock.advance(1_000)
  await watch.check(never)
  t.equal(watch.silentFor(), before + 1_000)
  state.answers = true
  state.served = service
  await watch.check(never)
  t.equal(watch.silentFor(), 0)
  await t.rejects(watch.taken(ref, AbortSignal.abort(new Error('enough'))), { message: 'enough' })
})
