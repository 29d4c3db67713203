import { readFile } from 'node:fs/promises'
import t from 'tap'
import { entriesIn } from '../world/entries.ts'
import { adminGet } from '../world/envoy-admin.ts'
import { failuresOf } from '../world/load.ts'
import type { Member } from '../world/member.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, echo, type World } from '../world/world.ts'

t.test('restarts of istiod and of the controller under load', async (t) => {
  const world = await createWorld({ name: 'istiod' })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  await world.boot('a', 'servers')
  await world.boot('b', 'servers')

  await t.test('istiod killed: no request fails, and no sidecar gets an empty mesh', async (t) => {
    const load = world.load(caller, { options: { 'download-seconds': 3 } })
    await load.firstOk
    const first = await istiodPid(world)
    const before = await updates(caller)
    process.kill(first, 'SIGKILL')
    await waitFor(async () => (await istiodPid(world)) !== first, { what: 'a new istiod' })
    // The caller's sidecar is told everything again; what it is told is what this scene is about.
    await waitFor(async () => (await updates(caller)) > before, { what: 'the sidecar to be connected again' })
    const count = load.progress().requests
    await waitFor(() => load.progress().requests > count + 200, { what: 'load after the restart' })
    t.equal(await endpoints(caller), 2, 'it knows both servers')
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.comment(sceneLine('istiod-killed', summary))
  })

  await t.test('controller killed: sidecars serve, and no entry is lost', async (t) => {
    const load = world.load(caller, { options: { 'download-seconds': 3 } })
    await load.firstOk
    const entries = await entriesIn(world.controller.dataDir)
    await world.controller.kill()
    const count = load.progress().requests
    await waitFor(() => load.progress().requests > count + 100, { what: 'load without a controller' })
    await world.controller.start()
    await waitFor(async () => (await world.operator.vms()).every((vm) => vm.connected), {
      what: 'all agents to come back',
    })
    const later = load.progress().requests
    await waitFor(() => load.progress().requests > later + 200, { what: 'load after the restart' })
    t.same(await entriesIn(world.controller.dataDir), entries)
    t.equal(entries.length, 3, 'one for each VM')
    t.ok((await world.operator.vms()).every((vm) => vm.phase === 'ready'))
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.comment(sceneLine('controller-killed', summary))
  })

  await t.test('from a VM, nothing of the host is reachable but the controller and the gate', async (t) => {
    const { stdout } = await world.network.host.exec('ss', ['-H', '-l', '-t', '-n'])
    const ports = stdout.match(/:(\d+)\s/g)?.map((match) => Number(match.slice(1))) ?? []
    t.ok(ports.length >= 4, `istiod and controller listen: ${ports.join(' ')}`)
    const open: number[] = []
    for (const port of new Set([...ports, 15010, 15014, 8080, 9876])) {
      if (await connects(caller, world.network.hostAddress, port)) open.push(port)
    }
    t.same(
      open.sort((a, b) => a - b),
      [8443, 15012],
    )
  })
})

/** Process id of the controller's istiod. */
async function istiodPid(world: World): Promise<number> {
  for (const pid of await world.network.host.pids()) {
    const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim()
    if (name === 'istiod' || name === 'pilot-discovery') return pid
  }
  throw new Error('no istiod runs')
}

/** How many answers of istiod the sidecar took over: each connection begins with some. */
async function updates(member: Member): Promise<number> {
  const text = await adminGet(member.vm, '/stats?filter=cluster_manager.cds.update_success')
  return Number(/update_success: (\d+)/.exec(text)?.[1] ?? 0)
}

/** How many servers the member's sidecar knows. */
async function endpoints(member: Member): Promise<number> {
  const text = await adminGet(member.vm, '/clusters')
  const lines = text.split('\n').filter((line) => line.startsWith(`outbound|${echo.http}||${echo.host}::`))
  return new Set(lines.map((line) => /::(\d+\.\d+\.\d+\.\d+:\d+)::/.exec(line)?.[1]).filter(Boolean)).size
}

async function connects(member: Member, host: string, port: number): Promise<boolean> {
  const program = `
    const socket = require('node:net').connect(${port}, '${host}')
    socket.setTimeout(10_000, () => process.exit(1))
    socket.once('connect', () => process.exit(0))
    socket.once('error', () => process.exit(1))`
  // Past the sidecar, which would accept any connection itself.
  const { code } = await member.vm.exec(process.execPath, ['-e', program], { gid: 1337 })
  return code === 0
}
