import { readFile } from 'node:fs/promises'
import t from 'tap'
import { failuresOf } from '../world/load.ts'
import type { Member } from '../world/member.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { opened, watchEndpoints } from '../world/watch/peer.ts'
import { createWorld } from '../world/world.ts'

t.test('the application dies: its VM is closed to peers, explained, and open when it is back', async (t) => {
  const world = await createWorld({ name: 'application' })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  await world.boot('a', 'servers')
  const b = await world.boot('b', 'servers')
  const { id } = await b.view()
  const endpoints = watchEndpoints(caller.vm, { filter: 'echo' })
  t.teardown(() => endpoints.stop())
  await opened(endpoints, b.vm.address, 'the caller to know b')

  process.kill(await applicationPid(b), 'SIGKILL')
  await endpoints.first((event) => event.closed.includes(b.vm.address), { what: 'the endpoint to be closed' })
  const view = await b.waitPhase('unhealthy')
  t.equal(view.connected, true, 'its agent is there')
  t.ok((await b.sidecar()).envoy, 'and its sidecar')

  await t.test('the controller and the VM itself say what is wrong, and what to do', async (t) => {
    const { ready, step, cause, fix } = await world.operator.explain(id)
    t.equal(ready, false)
    t.equal(step, 'ApplicationHealthy')
    t.match(cause, /8080|health|refused/i)
    t.ok(fix)
    const doctor = await b.agent('doctor', '--json')
    t.equal(doctor.code, 1)
    const findings = JSON.parse(doctor.stdout) as { check: string; result: string; detail: string }[]
    const wrong = findings.filter(({ result }) => result === 'wrong')
    t.same(
      wrong.map(({ check }) => check),
      ['agent'],
      'nothing else is wrong',
    )
    t.match(wrong[0]?.detail, 'ApplicationHealthy')
  })

  await t.test('meanwhile the other serves, and when it is back both do: no request fails', async (t) => {
    const load = world.load(caller, { options: { 'download-seconds': 2, 'tcp-reopen-ms': 500 } })
    await load.firstOk
    await waitFor(() => load.progress().requests > 150, { what: 'load on the other' })
    t.equal(load.progress().instances.b, undefined, 'nothing went to the dead one')
    await b.startApp()
    await b.waitPhase('ready')
    await waitFor(() => (load.progress().instances.b?.answers ?? 0) > 50, { what: 'load on both' })
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.equal((await b.agent('doctor')).code, 0, 'nothing is wrong any more')
    t.comment(sceneLine('application-back', summary))
  })
})

async function applicationPid({ vm }: Member): Promise<number> {
  for (const pid of await vm.pids()) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.includes('app-server.ts')) return pid
  }
  throw new Error(`no application runs in ${vm.name}`)
}
