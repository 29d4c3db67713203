import t from 'tap'
import { call } from '../../world/call.ts'
import { failuresOf } from '../../world/load.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { createWorld, echo } from '../../world/world.ts'

t.test('a VM boots into the mesh, serves, and leaves it without a failed request', async (t) => {
  const world = await createWorld({ name: 'life' })
  t.teardown(() => world.close())
  const [a, caller] = [await world.boot('a', 'servers'), await world.boot('caller', 'clients')]
  const b = await world.boot('b', 'servers')

  await t.test('a peer gets its 200 over mTLS, and the server sees who called', async (t) => {
    const answer = await waitFor(
      async () => {
        const { status, body } = await call(caller.vm, `http://${echo.host}:${echo.http}/`)
        return status === 200 && (JSON.parse(body) as { instance: string; clientCert: string | null })
      },
      { what: 'a first answer' },
    )
    t.match(answer.clientCert, 'URI=spiffe://cluster.local/ns/default/sa/caller')
    const { identity } = await b.view()
    t.equal(identity, 'spiffe://cluster.local/ns/default/sa/echo')
  })

  await t.test('plain text to a VM is refused', async (t) => {
    const answer = await call(world.network.host, `http://${a.vm.address}:${echo.http}/`)
    t.equal(answer.status, 0, answer.body)
  })

  await t.test('it leaves under load of every protocol', async (t) => {
    const load = world.load(caller, { options: { 'download-seconds': 3 } })
    await load.firstOk
    await waitFor(() => load.progress().requests > 200, { what: 'load on both servers' })
    t.equal(await b.shutDown(), 0, 'the agent ends well')
    const before = load.progress().requests
    await waitFor(() => load.progress().requests > before + 200, { what: 'load after the leave' })
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.ok((summary.instances.b?.answers ?? 0) > 0, 'it had served')
    t.comment(sceneLine('leave', summary))
    t.equal((await b.view()).phase, 'left')
  })

  await t.test('it comes back by its key alone', async (t) => {
    const before = await b.view()
    await b.startAgent()
    const after = await b.waitPhase('ready')
    t.equal(after.id, before.id)
  })
})
