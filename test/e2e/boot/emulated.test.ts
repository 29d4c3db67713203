import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createEmulated } from '../../testbed/machines/emulated.ts'
import type { Emulated } from '../../testbed/machines/machine.ts'
import { entriesIn } from '../../world/entries.ts'
import { failuresOf } from '../../world/load.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { createWorld, serverPool, type World } from '../../world/world.ts'
import { viewOf } from './agent-image.ts'
import { agentSeed } from './agent-seed.ts'
import { agentLandmarks, bootStory, keepStories, storyFile, tellStory } from './boot-story.ts'
import { makeAgentDisk } from './emulated-disk.ts'
import { bootToAnswer } from './first-answer.ts'

/**
 * An emulated processor is tens of times slower than its machine, which has other things to do too: seconds of the
 * product become minutes. Where that is so the pool says more than its defaults.
 */
const patience = {
  limitMs: 600_000,
  pool: {
    // Default 5 s. What the longest silence was is printed.
    liveness: { lostAfterSeconds: 60 },
    // Default 1 s each: a request through two emulated proxies may take longer without anything being wrong.
    probe: { ...serverPool.probe, periodSeconds: 5, timeoutSeconds: 15 },
    // Default 30 s: a download of 3 s that was open has to end.
    drain: { deadlineSeconds: 120 },
  },
  // As much as two such machines bear.
  load: {
    ...{ 'http1-rate': 4, 'http2-rate': 4, 'tcp-rate': 4, 'grpc-workers': 1 },
    ...{ 'download-seconds': 3, 'limit-ms': 120_000 },
  },
} as const

t.setTimeout(25 * 60_000)

t.test('two machines of one image, each with a kernel of its own', async (t) => {
  const world = await createWorld({ name: 'emulated', servers: patience.pool })
  t.teardown(() => world.close())
  const disk = await makeAgentDisk(world)
  const caller = await world.boot('caller', 'clients')
  const machine = async (name: string) =>
    createEmulated({
      ...{ network: world.network, name, disk, landmarks: agentLandmarks },
      seed: await agentSeed(world, 'servers'),
    })
  const [one, two] = [await machine('one'), await machine('two')]
  const silence = watchSilence(world)
  t.teardown(() => silence.stop())

  await t.test('from power-on to an answer over mutual TLS', async (t) => {
    const stories = await Promise.all(
      [one, two].map(async (vm) => bootStory(vm, await bootToAnswer(world, caller, vm))),
    )
    await keepStories(stories)
    for (const story of stories) {
      t.comment(tellStory(story))
      const phases = story.points.map(({ phase }) => phase)
      for (const phase of [
        'kernel',
        'initramfs',
        'systemd',
        'cloud-init local',
        'agent',
        'joined',
        'sidecar',
      ])
        t.ok(phases.includes(phase), `${story.machine}: the story knows ${phase}`)
      t.ok(
        phases.indexOf('captured') > phases.indexOf('Envoy ready'),
        'captured when there is somewhere to go',
      )
      t.equal(phases.at(-1), 'first 200')
    }
    t.comment(`kept in ${storyFile}`)
  })

  await t.test('they are two VMs of one pool, as their seeds say', async (t) => {
    const views = await world.operator.vms('servers')
    t.same(views.map(({ hostname }) => hostname).toSorted(), ['one', 'two'])
    t.equal(new Set(views.map(({ id }) => id)).size, 2)
    const ids = await Promise.all([one, two].map((vm) => said(vm, 'cat', '/etc/machine-id')))
    t.equal(new Set(ids).size, 2)
    for (const vm of [one, two]) {
      t.match(await said(vm, 'iptables-save', '-t', 'nat'), 'ISTIO_INBOUND', 'its own kernel redirects')
      t.equal(await said(vm, 'systemctl', 'show', '-P', 'NRestarts', 'mooring-agent'), '0')
      t.notMatch(vm.consoleLog, /ordering cycle/i)
    }
  })

  await t.test('the power button of one, under load: no request fails', async (t) => {
    const id = (await viewOf(world, one))?.id ?? ''
    const load = world.load(caller, { seconds: 1_200, options: patience.load })
    await load.firstOk
    const answers = (name: string) => load.progress().instances[name]?.answers ?? 0
    const limits = { limitMs: patience.limitMs, onTimeout: () => JSON.stringify(load.progress()) }
    await waitFor(() => answers('one') > 50 && answers('two') > 50, { what: 'load on both', ...limits })
    await one.powerOff()
    const before = answers('two')
    await waitFor(() => answers('two') > before + 50, { what: 'load on the other', ...limits })
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.comment(sceneLine('emulated-poweroff', summary))
    t.match(one.consoleLog, /left the mesh reason=shutdown/)
    t.equal((await world.operator.vm(id)).phase, 'left')
    t.notOk((await entriesIn(world.controller.dataDir)).includes(id), 'its entry is gone')
  })

  const longest = silence.longestMs()
  t.comment(`longest silence of a VM in the mesh: ${longest} ms; by default a VM is lost after 5000 ms`)
  t.ok(longest > 0)
})

async function said(vm: Emulated, command: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await vm.exec(command, args, { timeoutMs: patience.limitMs })
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr || stdout}`)
  return stdout.trim()
}

/** Looks all the time how long ago each connected VM was heard. */
function watchSilence({ operator }: World) {
  const stop = new AbortController()
  let longest = 0
  const over = (async () => {
    while (!stop.signal.aborted) {
      const now = Date.now()
      for (const { connected, lastHeard } of await operator.vms('servers').catch(() => []))
        if (connected && lastHeard > 0) longest = Math.max(longest, now - lastHeard)
      await sleep(250)
    }
  })()
  return {
    longestMs: () => longest,
    async stop() {
      stop.abort()
      await over
    },
  }
}
