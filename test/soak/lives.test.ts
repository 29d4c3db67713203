import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { entriesIn } from '../world/entries.ts'
import { tail } from '../world/member.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { watchEndpoints } from '../world/watch/peer.ts'
import { createWorld, type World } from '../world/world.ts'
import { createDice } from './dice.ts'
import { createHerd, type Herd } from './herd.ts'
import { createWatchman } from './watchman.ts'
import type { Window } from './windows.ts'

const minutes = Number(process.env.MOORING_SOAK_MINUTES ?? '10')
const seed = Number(process.env.MOORING_SOAK_SEED ?? Math.floor(Math.random() * 2 ** 31))

/** Most servers at a time; with one down, and one leaving, two are left of the fewest. */
const most = 5
const leastServers = 2
const clientLimitMs = 20_000

t.test(`random lives with random faults: ${minutes} minutes, MOORING_SOAK_SEED=${seed}`, async (t) => {
  const dice = createDice(seed)
  const began = performance.now()
  const since = () => `${((performance.now() - began) / 1000).toFixed(1)} s`
  const world = await createWorld({ name: 'soak', servers: { liveness: { graceSeconds: 30 } } })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  const endpoints = watchEndpoints(caller.vm, { filter: 'echo' })
  t.teardown(() => endpoints.stop())
  const windows: Window[] = []
  const herd = createHerd({ world, endpoints, windows })
  for (let i = 0; i < 3; i++) await herd.boot()

  const load = world.load(caller, {
    seconds: minutes * 60 + 900,
    keepFailures: true,
    options: { 'download-seconds': 5, 'limit-ms': clientLimitMs },
  })
  await load.firstOk
  let wrong = false
  let logs: Promise<readonly string[]> | undefined
  const watchman = createWatchman({
    operator: world.operator,
    load,
    endpoints: endpoints.events,
    windows,
    leastServers,
    onComplaint(text) {
      wrong = true
      // At once: a VM that leaves takes its log along.
      logs ??= logEnds(world)
      t.comment(`${since()} WRONG: ${text}`)
    },
  })

  const counts: Record<string, number> = {}
  const deadline = performance.now() + minutes * 60_000
  while (!wrong && performance.now() < deadline) {
    const deed = chooseDeed(herd, dice)
    for (const name of deed.names) counts[name] = (counts[name] ?? 0) + 1
    t.comment(`${since()} ${deed.names.join(' + ')}`)
    try {
      await deed.run()
      await herd.settle()
    } catch (error) {
      watchman.complain(
        `${deed.names.join(' + ')}: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
    await sleep(dice.between(0, 2_000))
  }

  // A window's requests may still be on their way; those of a healthy end may not fail.
  const count = load.progress().requests
  await waitFor(() => load.progress().requests > count + 300, { what: 'load at the end' })
  const summary = await load.stop()
  await watchman.stop()

  for (const line of (await logs) ?? []) t.comment(line)
  t.same(watchman.complaints, [], 'nothing went wrong')
  t.ok(watchman.looks > 0, `${watchman.looks} looks, transitions: ${[...watchman.transitions].join(' ')}`)
  t.ok(
    summary.requests > 0,
    `${summary.requests} requests, ${watchman.excused} failed in ${windows.length} windows`,
  )
  t.comment(`deeds: ${JSON.stringify(counts)}`)
  t.comment(
    sceneLine('random-lives', { requests: summary.requests, failed: summary.failed - watchman.excused }),
  )

  await t.test('everything settles: an entry for each VM that is there', async (t) => {
    await herd.settle()
    const vms = (await world.operator.vms()).filter((vm) => vm.phase !== 'left')
    t.same(
      vms.map((vm) => vm.id).toSorted(),
      [(await caller.view()).id, ...herd.animals.map(({ id }) => id)].toSorted(),
    )
    t.same(await entriesIn(world.controller.dataDir), vms.map((vm) => vm.id).toSorted())
    t.ok(vms.every((vm) => vm.phase === 'ready'))
  })

  await t.test('nothing is left when all have gone', async (t) => {
    await endpoints.stop()
    for (const { member } of [...herd.animals, { member: caller }]) {
      t.equal(await member.shutDown(), 0, `${member.name} leaves in order`)
      t.same(await member.sidecar(), {}, 'without its sidecar')
    }
    await waitFor(async () => (await entriesIn(world.controller.dataDir)).length === 0, {
      what: 'no entry',
      onTimeout: async () =>
        [JSON.stringify(await world.operator.vms()), ...(await logEnds(world))].join('\n'),
    })
    await world.controller.stop()
    t.same(await world.network.host.pids(), [], 'no process of controller or istiod')
    const { id, tempDir } = world.network
    await world.close()
    t.same(
      (await readdir('/run/netns')).filter((name) => name.includes(id)),
      [],
      'no namespace',
    )
    t.same(await processesUnder(tempDir), [], 'no process')
  })
})

interface Deed {
  readonly names: readonly string[]
  run(): Promise<unknown>
}

/**
 * What happens next. As many servers must stay untouched as have to be known at any time. Deeds that must not cost a
 * request may come in pairs; one that cannot but cost some comes alone, so that nothing hides behind it.
 */
function chooseDeed(herd: Herd, dice: ReturnType<typeof createDice>): Deed {
  const { animals } = herd
  if (animals.length <= leastServers) return { names: ['boot'], run: () => herd.boot() }
  const victim = dice.pick(animals)
  const other = dice.pick(animals.filter((animal) => animal !== victim))
  // All thrown here: two deeds at a time would throw in an order that no seed repeats.
  const shortMs = dice.between(0, 3_000)
  const otherMs = dice.between(0, 3_000)
  const downMs = dice.between(0, 4_000)
  const longMs = dice.between(6_000, 10_000)
  const flapMs = dice.between(300, 9_000)
  const interrupted = { afterMs: dice.between(0, 1_500), awayMs: dice.between(0, 7_000) }
  const afterwards = dice.chance(0.5) ? 'boots' : 'is replaced'
  const tended: readonly [string, () => Promise<void>][] = [
    ['kill-controller', () => herd.killController(downMs)],
    ['kill-istiod', () => herd.killIstiod()],
  ]
  const harmless: [string, () => Promise<void>][] = [
    ['leave', () => herd.leave(victim)],
    ['come-back', () => herd.comeBack(victim)],
    ['drain', () => herd.drain(victim)],
    ['drain-without-agent', () => herd.drainWithoutAgent(victim, interrupted)],
    ['remove', () => herd.remove(victim)],
    ['kill-agent', () => herd.killAgent(victim, shortMs)],
    // Longer than a VM may be silent: its endpoint is closed, though it serves.
    ['kill-agent-long', () => herd.killAgent(victim, longMs)],
    ...tended,
  ]
  if (animals.length < most) harmless.push(['boot', () => herd.boot()], ['boot', () => herd.boot()])
  const costly: readonly [string, () => Promise<void>][] = [
    ['kill-pilot-agent', () => herd.killSidecar(victim, 'pilotAgent')],
    ['kill-envoy', () => herd.killSidecar(victim, 'envoy')],
    ['flap-link', () => herd.flapLink(victim, flapMs)],
    ['cut-power', () => herd.cutPower(victim, afterwards)],
    ['evict', () => herd.evict(victim)],
  ]
  if (dice.chance(0.35)) return alone(dice.pick(costly))
  const [name, run] = dice.pick(harmless)
  if (tended.some(([tender]) => tender === name) || dice.chance(0.5)) return alone([name, run])
  const seconds: readonly [string, () => Promise<void>][] =
    animals.length > leastServers + 1
      ? [...tended, ['kill-agent', () => herd.killAgent(other, otherMs)]]
      : tended
  const [also, disturb] = dice.pick(seconds)
  const pauseMs = dice.between(0, 3_000)
  return {
    names: [name, also],
    run: () => together([run(), sleep(pauseMs).then(disturb)]),
  }
}

function alone([name, run]: readonly [string, () => Promise<void>]): Deed {
  return { names: [name], run }
}

/** Waits for all, so that nothing goes on when one has failed. */
async function together(deeds: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(deeds)).find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

/** The last lines of the logs of the controller and of every agent. */
async function logEnds({ network, controller }: World): Promise<readonly string[]> {
  const files = [controller.logFile, ...network.vms.map(({ root }) => join(root, 'agent.log'))]
  const texts = await Promise.all(files.map((file) => tail(file, 6_000)))
  return texts.flatMap((text, i) => [`--- ${files[i]}`, ...text.split('\n').slice(1)])
}

/** Programs of this machine that run from a folder, or were started with its name. */
async function processesUnder(folder: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '')
    if (command.includes(folder) || cwd.startsWith(folder))
      found.push(`${pid} ${command.replaceAll('\0', ' ')}`)
  }
  return found
}
