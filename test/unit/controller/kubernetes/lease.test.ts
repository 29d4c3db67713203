import t, { type Test } from 'tap'
import type { Client } from '../../../../controller/kubernetes/client.ts'
import { createElection } from '../../../../controller/kubernetes/lease.ts'
import { silentLog } from '../../../../shared/log.ts'
import { type FakeApiServer, startApiServer } from '../../../fakes/api-server.ts'
import { createTestAuthority } from '../../../fakes/authority.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { clientOf } from '../../../fakes/kubernetes-store.ts'

const authority = await createTestAuthority('API server')

/** A replica with a clock of its own, which a test moves. */
function stand(client: Client, identity: string, start: number) {
  const clock = createFakeClock(start)
  const election = createElection({
    client,
    namespace: 'mooring-system',
    name: 'mooring-controller',
    identity,
    clock,
    log: silentLog,
    random: () => 0.5,
  })
  const stop = new AbortController()
  let leading = 0
  const lead = async (signal: AbortSignal) => {
    leading += 1
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    leading -= 1
  }
  const done = election.run(lead, stop.signal)
  return {
    election,
    clock,
    stop,
    done,
    leads: () => leading === 1,
    /** Lets time pass, and the look that falls into it happen. */
    async pass(ms: number) {
      await until(() => clock.sleepers > 0)
      await clock.advance(ms)
    },
  }
}

async function open(t: Test): Promise<{ server: FakeApiServer; client: () => Client }> {
  const server = await startApiServer(authority)
  t.teardown(() => server.close())
  return { server, client: () => clientOf(t, server.kubeconfig) }
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 2))
}

t.test(
  'the lead goes from one that dies to the other within 15 s, though their clocks are hours apart',
  async (t) => {
    const { client } = await open(t)
    const a = stand(client(), 'a', 1_800_000_000_000)
    await until(a.leads)
    const b = stand(client(), 'b', 1_700_000_000_000)
    t.teardown(async () => {
      for (const { stop, done } of [a, b]) {
        stop.abort()
        await done
      }
    })
    await until(() => b.election.holder() === 'a')
    t.equal(b.leads(), false)
    // `a` stands still from here, as after SIGKILL.
    let passed = 0
    while (!b.leads() && passed < 20_000) {
      await b.pass(500)
      passed += 500
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    t.ok(b.leads())
    t.ok(passed >= 9_000, `${passed} ms: not before the lease has expired`)
    t.ok(passed <= 15_000, `${passed} ms`)
    // When `a` goes on it finds that it has lost.
    await a.pass(20_000)
    await until(() => !a.leads())
    t.equal(a.election.isLeader(), false)
  },
)

t.test('who stops lets go, and the next one leads at its next look', async (t) => {
  const { client } = await open(t)
  const a = stand(client(), 'a', 1_800_000_000_000)
  await until(a.leads)
  const b = stand(client(), 'b', 1_800_000_000_000)
  await until(() => b.election.holder() === 'a')
  a.stop.abort()
  await a.done
  t.equal(a.leads(), false)
  await b.pass(2_000)
  await until(b.leads)
  t.equal(b.election.holder(), 'b')
  b.stop.abort()
  await b.done
})

t.test('a leader that cannot renew stops by itself, before another one may lead', async (t) => {
  const { server, client } = await open(t)
  const a = stand(client(), 'a', 1_800_000_000_000)
  await until(a.leads)
  server.faults.refuse = () => 503
  let passed = 0
  while (a.leads() && passed < 20_000) {
    await a.pass(250)
    passed += 250
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  t.ok(passed < 9_000, `${passed} ms`)
  server.faults.refuse = () => undefined as never
  for (let more = 0; !a.leads() && more < 20; more += 1) {
    await a.pass(500)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await until(a.leads)
  a.stop.abort()
  await a.done
})
