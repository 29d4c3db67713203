import t from 'tap'
import type { Client } from '../../../../../controller/kubernetes/client.ts'
import { createPoolConditions } from '../../../../../controller/mesh/kubernetes/pool-conditions.ts'
import type { PoolFault } from '../../../../../controller/mesh/kubernetes/pool-faults.ts'
import type { CustomObject, StandardCondition } from '../../../../../controller/store/kubernetes/resources.ts'
import type { PoolRecord } from '../../../../../controller/store/records.ts'
import { MooringError } from '../../../../../shared/errors.ts'
import { silentLog } from '../../../../../shared/log.ts'
import { createFakeClock } from '../../../../fakes/clock.ts'
import { poolOf, webSpec } from '../sample.ts'

/** Stands in for two verbs of the API server: conditions are merged by their type. */
function scene() {
  const clock = createFakeClock()
  const objects = new Map<string, CustomObject>()
  const pools = new Map<string, PoolRecord>()
  const faults: PoolFault[] = []
  const writes: string[] = []
  const world = { fail: 0 }
  const client = {
    get: async (_: unknown, { name }: { name: string }) => objects.get(name),
    async apply(_: unknown, { metadata, status }: CustomObject) {
      if (world.fail-- > 0) throw new MooringError('MESH_UNAVAILABLE')
      writes.push(metadata.name)
      const old = objects.get(metadata.name)
      if (old === undefined || metadata.uid !== old.metadata.uid) throw new MooringError('NOT_FOUND')
      const [condition] = (status?.conditions ?? []) as readonly StandardCondition[]
      const others = (old.status?.conditions ?? []) as readonly StandardCondition[]
      const conditions = [...others.filter(({ type }) => type !== condition?.type), condition]
      objects.set(metadata.name, { ...old, status: { ...old.status, conditions } })
    },
  } as unknown as Client
  const conditions = createPoolConditions({
    client,
    pools: () => pools,
    faults: () => faults,
    clock,
    log: silentLog,
    random: () => 0.5,
  })
  const stop = new AbortController()
  const put = (name: string) => {
    pools.set(name, poolOf(webSpec))
    const accepted = { type: 'Accepted', status: 'True', reason: '', message: '', lastTransitionTime: '' }
    const metadata = { name, namespace: 'shop', uid: `uid of ${name}` }
    objects.set(name, { metadata, status: { conditions: [accepted] } })
  }
  return {
    ...{ clock, pools, objects, faults, writes, world, conditions, put, stop },
    run: () => conditions.run(stop.signal),
    async settled() {
      for (let turn = 0; turn < 20; turn += 1) await clock.advance(0)
    },
    fit: (name: string) =>
      ((objects.get(name)?.status?.conditions ?? []) as readonly StandardCondition[]).find(
        ({ type }) => type === 'Fit',
      ),
  }
}

const clash: PoolFault = { pool: 'web', code: 'MESH_SIDECAR_CLASH', detail: 'Sidecar shop/theirs selects' }

t.test('each pool is told what stands against it, once', async (t) => {
  const s = scene()
  for (const name of ['web', 'batch']) s.put(name)
  s.faults.push(clash)
  const done = s.run()
  await s.settled()
  t.match(s.fit('web'), { status: 'False', reason: 'MESH_SIDECAR_CLASH', message: /theirs/ })
  t.match(s.fit('batch'), { status: 'True', reason: 'Fits' })
  t.match(s.objects.get('web')?.status?.conditions, [{ type: 'Accepted' }, {}], 'what others say stays')
  const since = s.fit('web')?.lastTransitionTime
  s.conditions.look()
  await s.settled()
  t.same(s.writes, ['web', 'batch'], 'nothing new, no write')

  await s.clock.advance(5_000)
  s.faults.push({ pool: 'web', code: 'MESH_SERVICE_UNFIT', detail: 'there is no Service shop/web' })
  s.conditions.look()
  await s.settled()
  t.match(s.fit('web'), { message: /theirs.*; there is no Service/, lastTransitionTime: since })
  s.faults.length = 0
  s.conditions.look()
  await s.settled()
  t.match(s.fit('web'), { status: 'True' })
  t.not(s.fit('web')?.lastTransitionTime, since)
  s.stop.abort()
  await done
})

t.test('what another controller said already is not written again', async (t) => {
  const s = scene()
  s.put('web')
  const first = s.run()
  await s.settled()
  s.stop.abort()
  await first
  const asked: string[] = []
  const again = createPoolConditions({
    client: {
      async get() {
        asked.push('get')
        return s.objects.get('web')
      },
      apply: async () => asked.push('apply'),
    } as unknown as Client,
    pools: () => s.pools,
    faults: () => [],
    clock: s.clock,
    log: silentLog,
    random: () => 0.5,
  })
  const stop = new AbortController()
  const done = again.run(stop.signal)
  await s.settled()
  t.same(asked, ['get'])
  stop.abort()
  await done
})

t.test('a write that fails is tried again, and a pool that went away is passed over', async (t) => {
  const s = scene()
  for (const name of ['web', 'batch']) s.put(name)
  s.objects.delete('batch')
  s.world.fail = 2
  const done = s.run()
  await s.settled()
  t.equal(s.fit('web'), undefined)
  await s.clock.advance(60_000)
  await s.settled()
  await s.clock.advance(60_000)
  await s.settled()
  t.match(s.fit('web'), { status: 'True' })
  t.same(s.writes, ['web'])
  s.stop.abort()
  await done
})
