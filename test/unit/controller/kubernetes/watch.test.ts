import t, { type Test } from 'tap'
import type { KubernetesObject, ResourceType } from '../../../../controller/kubernetes/resource.ts'
import { createWatch } from '../../../../controller/kubernetes/watch.ts'
import { readEvents } from '../../../../controller/kubernetes/watch-events.ts'
import { type Clock, systemClock } from '../../../../shared/clock.ts'
import { silentLog } from '../../../../shared/log.ts'
import { startApiServer } from '../../../fakes/api-server.ts'
import { createTestAuthority } from '../../../fakes/authority.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { clientOf } from '../../../fakes/kubernetes-store.ts'

const authority = await createTestAuthority('API server')
const things: ResourceType = { group: 'test.mooring', version: 'v1', plural: 'things', kind: 'Thing' }
const thing = (name: string): KubernetesObject => ({ metadata: { namespace: 'shop', name } })

async function follow(t: Test, clock: Clock = systemClock) {
  const server = await startApiServer(authority)
  t.teardown(() => server.close())
  const client = clientOf(t, server.kubeconfig)
  const told: string[] = []
  const watch = createWatch<KubernetesObject>({
    client,
    type: things,
    listener: {
      replaced: (items) => told.push(`all ${items.map((item) => item.metadata.name).join()}`),
      changed: (item) => told.push(`changed ${item.metadata.name}`),
      gone: (item) => told.push(`gone ${item.metadata.name}`),
    },
    clock,
    log: silentLog,
    random: () => 0,
  })
  const stop = new AbortController()
  const running = watch.run(stop.signal)
  t.teardown(async () => {
    stop.abort()
    await running
  })
  await watch.listed
  await until(() => server.watches === 1)
  return { server, client, told, watch }
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 2))
}

t.test('what happens is told in order', async (t) => {
  const { client, told, watch } = await follow(t)
  const made = await client.create(things, thing('a'))
  await client.replace(things, { ...made, metadata: { ...made.metadata, labels: { x: 'y' } } })
  await client.remove(things, { namespace: 'shop', name: 'a' })
  await until(() => told.length === 4)
  t.same(told, ['all ', 'changed a', 'changed a', 'gone a'])
  t.match(watch.health(), { ok: true, detail: 'follows' })
})

t.test('a watch that is cut in the middle of a line goes on where it was', async (t) => {
  const { server, client, told } = await follow(t)
  await client.create(things, thing('a'))
  await until(() => told.length === 2)
  server.faults.mute = true
  await client.create(things, thing('b'))
  server.faults.mute = false
  server.cutWatches()
  await until(() => told.length === 3)
  t.same(told, ['all ', 'changed a', 'changed b'])
})

t.test('a bookmark moves the place to go on from', async (t) => {
  const { server, client, told } = await follow(t)
  const others: ResourceType = { ...things, plural: 'others' }
  const made = await client.create(others, thing('far'))
  const heard = server.requests.length
  server.bookmark()
  server.faults.forgottenUpTo = Number(made.metadata.resourceVersion) - 1
  await client.create(things, thing('a'))
  await until(() => told.length === 2)
  server.cutWatches()
  await until(() => server.requests.length > heard + 1 && server.watches === 1)
  await client.create(things, thing('b'))
  await until(() => told.length === 3)
  t.same(told, ['all ', 'changed a', 'changed b'])
})

t.test('a stream that says nothing any more is begun anew, by the clock alone', async (t) => {
  const clock = createFakeClock()
  const { server, client, told } = await follow(t, clock)
  server.faults.mute = true
  await client.create(things, thing('a'))
  server.faults.mute = false
  const before = server.requests.length
  await until(() => clock.sleepers > 0)
  await clock.advance(76_000)
  const waking = setInterval(() => void clock.advance(1_000), 5)
  t.teardown(() => clearInterval(waking))
  await until(() => told.length === 2)
  t.same(told, ['all ', 'changed a'])
  t.ok(server.requests.slice(before).length > 0)
})

t.test('events are read from pieces of any size; a line without end is refused', async (t) => {
  const text = `${JSON.stringify({ type: 'ADDED', object: { metadata: { name: 'ä', resourceVersion: '1' } } })}\n`
  const bytes = Buffer.from(text.repeat(3))
  for (const size of [1, 7, 1000]) {
    const names: string[] = []
    const pieces = async function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
    }
    for await (const event of readEvents<KubernetesObject>(pieces(), () => {})) {
      if (event.type !== 'ERROR') names.push(event.object.metadata.name)
    }
    t.same(names, ['ä', 'ä', 'ä'], `pieces of ${size}`)
  }
  const endless = async function* () {
    for (let i = 0; i < 20; i += 1) yield Buffer.alloc(1024 * 1024, 0x20)
  }
  await t.rejects(readEvents(endless(), () => {}).next(), { code: 'REQUEST_TOO_LARGE' })
})
