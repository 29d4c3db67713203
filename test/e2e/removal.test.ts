import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { call } from '../world/call.ts'
import { tail } from '../world/member.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, echo } from '../world/world.ts'

t.test('a removed VM is evicted: its valid certificate opens nothing, its key is refused', async (t) => {
  const world = await createWorld({ name: 'evict' })
  t.teardown(() => world.close())
  await world.boot('a', 'servers')
  const caller = await world.boot('caller', 'clients')
  const url = `http://${echo.host}:${echo.http}/`
  await waitFor(async () => (await call(caller.vm, url)).status === 200, { what: 'a first answer' })
  const { id } = await caller.view()

  // Its agent dies first, so that the sidecar goes on with the certificate that it has.
  await caller.killAgent()
  await world.operator.remove(id, { now: true })
  const refused = await waitFor(
    async () => {
      const answer = await call(caller.vm, url)
      return answer.status !== 200 && answer
    },
    { what: 'its peers to deny it' },
  )
  t.equal(refused.status, 403, 'Envoy on the server denies it (RBAC)')

  await caller.startAgent()
  const status = await waitFor(
    async () => {
      const { stdout } = await caller.agent('status', '--json')
      return stdout.includes('revoked') && stdout
    },
    { what: 'the agent to know that it was removed', onTimeout: () => tail(caller.agentLog) },
  )
  t.match(status, 'does not accept the key of this VM any more')
  await waitFor(async () => (await caller.sidecar()).envoy === undefined, {
    what: 'its sidecar to be gone',
    onTimeout: () => tail(caller.agentLog),
  })
})

t.test('a second machine with the identity of a joined VM is refused, recorded and counted', async (t) => {
  const world = await createWorld({ name: 'clone' })
  t.teardown(() => world.close())
  const original = await world.boot('original', 'servers')
  const clone = await world.prepare('clone', 'servers')
  const state = 'var/lib/mooring'
  await mkdir(join(clone.vm.root, state), { recursive: true, mode: 0o700 })
  await copyFile(join(original.vm.root, state, 'state.json'), join(clone.vm.root, state, 'state.json'))
  await clone.startAgent()
  const record = await waitFor(
    async () => (await world.operator.audit()).find((r) => r.code === 'CLONE_DETECTED'),
    { what: 'the clone on record', limitMs: 60_000 },
  )
  t.equal(record.outcome, 'denied')
  t.equal((await original.view()).phase, 'ready', 'the original serves on')
  t.equal((await original.view()).address, original.vm.address)
  t.match(await world.operator.metrics(), /^mooring_\w*clone\w*(\{[^}]*\})? [1-9]/m)
})
