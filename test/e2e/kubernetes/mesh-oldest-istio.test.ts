import t, { type Test } from 'tap'
import { mustRun } from '../../testbed/command.ts'
import { ensureIstiodParts } from '../../testbed/kubernetes/parts.ts'
import { oldestIstio } from '../../testbed/parts/istio.ts'
import { ensureParts } from '../../testbed/parts/parts.ts'
import { silentProgress as progress } from '../../testbed/progress.ts'
import { call } from '../../world/call.ts'
import { failuresOf } from '../../world/load.ts'
import type { Member } from '../../world/member.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { createWorld, echo, type World } from '../../world/world.ts'
import { createKubernetesWorld } from './controller-scene.ts'

t.setTimeout(15 * 60_000)
const istiodParts = await ensureIstiodParts({ progress, release: oldestIstio })

t.test('the oldest istiod that is supported is what it says', async (t) => {
  t.match((await mustRun(istiodParts.istiod, ['version', '--short'])).stdout, '1.27.0')
})

t.test('a VM lives in the mesh of a cluster with that istiod', async (t) => {
  const world = await createKubernetesWorld({ name: 'k8s127', servers: { namespace: 'shop' }, istiodParts })
  t.teardown(() => world.close())
  await livesThrough(t, world, 'shop', async () => {
    await world.istiod.restart()
  })
})

t.test('so it does where the controller has that istiod for its own', async (t) => {
  const parts = { ...(await ensureParts({ progress })), istiod: istiodParts.istiod }
  const world = await createWorld({ name: 'own127', controller: { parts } })
  t.teardown(() => world.close())
  await livesThrough(t, world, 'default', async () => {
    await world.controller.kill()
    await world.controller.start()
  })
})

/** From the join over an unhealthy application and a new start of istiod to the drain, under load. */
async function livesThrough(
  t: Test,
  world: World,
  namespace: string,
  restart: () => Promise<void>,
): Promise<void> {
  const [a, caller] = [await world.boot('a', 'servers'), await world.boot('caller', 'clients')]
  const b = await world.boot('b', 'servers')
  t.equal((await b.view()).identity, `spiffe://cluster.local/ns/${namespace}/sa/echo`)
  const load = world.load(caller, { options: { 'download-seconds': 3 } })
  await load.firstOk
  await waitFor(() => hasAnswered(load.progress().instances, 'a', 'b'), { what: 'load on both servers' })
  const answer = await call(caller.vm, `http://${echo.host}:${echo.http}/`)
  t.match(JSON.parse(answer.body).clientCert, 'URI=spiffe://cluster.local/ns/default/sa/caller')
  t.equal((await call(world.network.host, `http://${a.vm.address}:${echo.http}/`)).status, 0, 'no plain text')

  const since = (await b.view()).phaseSince
  await restart()
  await more(load, 200)
  await connected(b)
  t.equal((await b.view()).phaseSince, since, 'an istiod that is started anew closes nobody')

  t.equal(await b.shutDown(), 0, 'the agent ends well')
  await more(load, 200)
  const summary = await load.stop()
  t.equal(summary.failed, 0, failuresOf(summary))
  t.comment(sceneLine(`oldest-istio-${namespace}`, summary))
  t.equal((await b.view()).phase, 'left')

  await b.startAgent()
  await b.waitPhase('ready')
  await world.operator.remove((await b.view()).id)
  await b.waitPhase('left')
}

type Load = ReturnType<World['load']>

async function more(load: Load, requests: number): Promise<void> {
  const before = load.progress().requests
  await waitFor(() => load.progress().requests > before + requests, { what: 'further load' })
}

function hasAnswered(instances: Readonly<Record<string, unknown>>, ...names: readonly string[]): boolean {
  return names.every((name) => instances[name] !== undefined)
}

async function connected(member: Member): Promise<void> {
  await waitFor(async () => (await member.view()).connected, { what: 'its stream' })
}
