import t, { type Test } from 'tap'
import { createMembers } from '../../../../controller/kubernetes/lease-members.ts'
import { silentLog } from '../../../../shared/log.ts'
import { type FakeApiServer, startApiServer } from '../../../fakes/api-server.ts'
import { createTestAuthority } from '../../../fakes/authority.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { clientOf } from '../../../fakes/kubernetes-store.ts'

const authority = await createTestAuthority('API server')

/** A replica with a clock of its own, which a test moves. */
async function stand(t: Test, server: FakeApiServer, identity: string, start: number) {
  const clock = createFakeClock(start)
  const stop = new AbortController()
  const members = createMembers({
    client: clientOf(t, server.kubeconfig),
    ...{ namespace: 'mooring-system', release: 'mooring', identity, clock },
    log: silentLog,
    random: () => 0,
  })
  const told: string[] = []
  members.onChange((name) => told.push(`${name} ${members.goneSince(name) === undefined ? 'runs' : 'gone'}`))
  await members.join(stop.signal)
  const done = members.run(stop.signal)
  t.teardown(async () => {
    stop.abort()
    await done
  })
  /** Lets time pass until the renewal and the look that fall into it are over. */
  async function pass(ms: number) {
    for (let passed = 0; passed < ms; passed += 2_000) {
      await until(() => clock.sleepers > 0)
      await clock.advance(2_000)
      await until(() => clock.sleepers > 0)
    }
  }
  return { members, clock, told, pass }
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 2))
}

t.test('replicas know of each other, of a death after 9 s and of an end at once', async (t) => {
  const server = await startApiServer(authority)
  t.teardown(() => server.close())
  const a = await stand(t, server, 'a', 1_800_000_000_000)
  const b = await stand(t, server, 'b', 1_700_000_000_000)
  const c = await stand(t, server, 'c', 1_750_000_000_000)
  await a.pass(2_000)
  t.equal(a.members.count(), 3)
  t.equal(a.members.goneSince('b'), undefined)
  t.equal(a.members.goneSince('old'), undefined, 'not before it was looked for')
  const asked = a.clock.now()
  await a.pass(2_000)
  t.equal(a.members.goneSince('old'), asked)
  // From here on `b` stands still; `c` ends.
  await c.members.leave()
  await a.pass(2_000)
  t.ok(a.members.goneSince('c') !== undefined)
  t.equal(a.members.goneSince('b'), undefined)
  const before = a.clock.now()
  await a.pass(8_000)
  const since = a.members.goneSince('b') ?? 0
  t.ok(since > 0 && since < before, 'its last sign of life, not the moment at which it was missed')
  t.equal(a.members.count(), 1)
  t.same(a.told, ['old gone', 'c gone', 'b gone'])
  await b.pass(2_000)
  await a.pass(2_000)
  t.equal(a.members.goneSince('b'), undefined)
  t.same(a.told.at(-1), 'b runs')
})
