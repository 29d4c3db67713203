import t from 'tap'
import { failuresOf } from '../../world/load.ts'
import type { Member } from '../../world/member.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { createReplicatedWorld, nextLeader, type Replica } from './replicas-scene.ts'

t.setTimeout(20 * 60_000)

t.test('two replicas share a fleet, and either may die at any time', async (t) => {
  const world = await createReplicatedWorld('k8srep')
  t.teardown(() => world.close())
  const [one, two] = world.replicas
  const a = await world.bootAt(one, 'a', 'servers')
  const b = await world.bootAt(two, 'b', 'servers')
  const c = await world.bootAt(two, 'c', 'servers')
  const caller = await world.bootAt(one, 'caller', 'clients')
  const members = [a, b, c, caller]
  const idOf = new Map<Member, string>()
  for (const member of members) idOf.set(member, (await member.view()).id)
  const id = (member: Member) => idOf.get(member) ?? ''
  const owner = (member: Member) => world.ownerOf(id(member))

  /** What each VM's phase is and since when, as a replica sees it. */
  const phases = async ({ operator }: Replica, of: readonly Member[]) =>
    Object.fromEntries(
      await Promise.all(
        of.map(async (member) => {
          const { phase, phaseSince } = await operator.vm(id(member))
          return [member.name, `${phase} since ${phaseSince}`]
        }),
      ),
    )
  const allConnected = ({ operator }: Replica, of: readonly Member[]) =>
    waitFor(
      async () => {
        const views = await Promise.all(of.map((member) => operator.vm(id(member))))
        return views.every(({ connected }) => connected)
      },
      { what: 'all streams to be open' },
    )
  const load = world.load(caller, { options: { 'download-seconds': 3 } })
  await load.firstOk

  await t.test('streams are where they came to, and either replica tells of all', async (t) => {
    const [first, second] = [await owner(a), await owner(b)]
    t.not(first, second)
    t.same([await owner(caller), await owner(c)], [first, second])
    t.equal(await world.leader(), first, 'the one that was there first leads')
    for (const replica of world.replicas) {
      await allConnected(replica, members)
      t.equal((await replica.operator.vms()).length, 4)
    }
    t.same(await phases(one, members), await phases(two, members))
    for (const member of members) await world.release(member)
  })

  await t.test('a drain is asked of one replica and done by the other', async (t) => {
    const [asked, has] = [one, await owner(c)]
    t.not(has, await world.leader())
    await asked.operator.drain(id(c), { after: 'leave' })
    await waitFor(async () => (await two.operator.vm(id(c))).phase === 'left', { what: 'it to be gone' })
    t.equal((await asked.operator.vm(id(c))).phase, 'left')
  })
  const staying = [a, b, caller]

  await t.test('the one that leads is killed: its streams move, nobody is believed lost', async (t) => {
    const before = await phases(two, staying)
    const old = await world.leader()
    await one.process.kill()
    const { name, ms } = await nextLeader(world, old)
    t.comment(`the lead moved ${ms} ms after SIGKILL`)
    t.equal(name, await owner(b))
    await allConnected(two, staying)
    for (const member of staying) t.equal(await owner(member), name)
    t.same(await phases(two, staying), before)
    await one.process.start()
  })

  await t.test('the one that leads stops cleanly: it hands over at once', async (t) => {
    const before = await phases(one, staying)
    const old = await world.leader()
    await two.process.stop()
    const { ms } = await nextLeader(world, old)
    t.comment(`the lead moved ${ms} ms after the end of a clean stop`)
    await allConnected(one, staying)
    t.same(await phases(one, staying), before)
    await two.process.start()
  })

  await t.test('without the API server both keep their streams', async (t) => {
    const before = await phases(one, staying)
    await world.cluster.apiServer.kill()
    const unready = async ({ operator }: Replica) => {
      const { parts } = await operator.call<{ parts: readonly { ok: boolean }[] }>('GET', '/readyz')
      return parts.some(({ ok }) => !ok)
    }
    for (const replica of world.replicas) await waitFor(() => unready(replica), { what: 'word of it' })
    const { requests } = load.progress()
    await waitFor(() => load.progress().requests > requests + 200, { what: 'load meanwhile' })
    await world.cluster.apiServer.start()
    for (const replica of world.replicas)
      await waitFor(async () => !(await unready(replica)), { what: 'all to be well' })
    await waitFor(async () => (await world.leader()) !== '', { what: 'somebody to lead' })
    await allConnected(one, staying)
    t.same(await phases(one, staying), before)
  })

  await t.test('no request failed in all of that', async (t) => {
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.comment(sceneLine('replicas', summary))
  })

  await t.test('a VM loses power in the moment in which its replica dies: it is closed', async (t) => {
    const has = await owner(a)
    const stays = has === (await owner(b)) || has === (await owner(caller)) ? undefined : has
    t.comment(stays === undefined ? 'others have their streams there, too' : 'it is alone there')
    const dying = await replicaNamed(world.replicas, has, world)
    const living = dying === one ? two : one
    const before = await phases(living, [b, caller])
    const began = performance.now()
    await Promise.all([a.vm.cutPower(), dying.process.kill()])
    await waitFor(async () => (await living.operator.vm(id(a))).phase === 'lost', {
      what: 'it to be lost',
      everyMs: 100,
    })
    t.comment(`closed ${Math.round(performance.now() - began)} ms after both went`)
    await allConnected(living, [b, caller])
    t.same(await phases(living, [b, caller]), before, 'those that live were never anything else')
  })
})

/** Which process a name of a replica belongs to, by what it says of itself. */
async function replicaNamed(
  replicas: readonly [Replica, Replica],
  name: string,
  world: { leader(): Promise<string> },
): Promise<Replica> {
  const leader = await world.leader()
  for (const replica of replicas) {
    const { parts } = await replica.operator.call<{ parts: readonly { part: string; detail: string }[] }>(
      'GET',
      '/readyz',
    )
    const { detail = '' } = parts.find(({ part }) => part === 'replicas') ?? {}
    if (detail.includes('this one leads') === (leader === name)) return replica
  }
  throw new Error(`no replica is ${name}`)
}
