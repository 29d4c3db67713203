import { readdir, readFile, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parseFile } from '../../controller/mesh/standalone/object-file.ts'
import { mustRun } from '../testbed/command.ts'
import { entriesIn } from '../world/entries.ts'
import { failuresOf } from '../world/load.ts'
import { tail } from '../world/member.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, type World } from '../world/world.ts'

t.test('the disk of the controller is full: who serves goes on, who comes is told to wait', async (t) => {
  const world = await createWorld({ name: 'ctl-disk' })
  t.teardown(() => world.close())
  const { dataDir } = world.controller
  await world.controller.stop()
  await onSmallDisk(dataDir)
  t.teardown(async () => {
    await world.controller.kill()
    await mustRun('umount', ['--lazy', dataDir])
  })
  await world.controller.start()
  const caller = await world.boot('caller', 'clients')
  await world.boot('a', 'servers')
  await world.boot('b', 'servers')
  const late = await world.prepare('late', 'servers')
  await late.startApp()
  const load = world.load(caller, { options: { 'download-seconds': 3, 'tcp-reopen-ms': 3_000 } })
  await load.firstOk
  t.match(await readiness(world), /"ready":true/)

  const full = join(dataDir, 'full')
  await fill(full, dataDir)
  await waitFor(async () => /"part":"disk","ok":false,"detail":"[^"]*ENOSPC/.test(await readiness(world)), {
    what: 'the controller to say so',
    onTimeout: () => readiness(world),
  })

  const refused = /"code":"(UNAVAILABLE|MESH_UNAVAILABLE)"/
  await late.startAgent()
  await waitFor(async () => refused.test(await readFile(late.agentLog, 'utf8').catch(() => '')), {
    what: 'the join to be refused with a code',
    onTimeout: () => tail(late.agentLog),
  })
  t.same(await unreadable(dataDir), [], 'istiod reads whole files only')
  const count = load.progress().requests
  await waitFor(() => load.progress().requests > count + 300, { what: 'load while the disk is full' })
  t.ok(world.controller.pid > 0 && (await isAlive(world.controller.pid)), 'the controller lives')

  await mustRun('rm', ['-rf', full])
  await late.waitPhase('ready', 120_000)
  await waitFor(async () => /"ready":true/.test(await readiness(world)), {
    what: 'the controller to be ready again',
    onTimeout: () => readiness(world),
  })
  await waitFor(
    async () => {
      const ids = (await world.operator.vms()).map(({ id }) => id).sort()
      return JSON.stringify(ids) === JSON.stringify(await entriesIn(dataDir))
    },
    { what: 'one entry for each VM' },
  )
  await waitFor(() => Object.keys(load.progress().instances).includes('late'), {
    what: 'the late one to serve',
  })
  const summary = await load.stop()
  t.equal(summary.failed, 0, failuresOf(summary))
  t.same(await unreadable(dataDir), [])
  t.comment(sceneLine('controller-disk-full', summary))
})

/** Puts what is in `folder` on a file system of its own, at the same place. */
async function onSmallDisk(folder: string): Promise<void> {
  const aside = `${folder}.aside`
  await mustRun('mv', [folder, aside])
  await mustRun('mkdir', ['-m', '0700', folder])
  await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=48m,mode=0700', 'mooring-test', folder])
  await mustRun('cp', ['-a', `${aside}/.`, folder])
}

/** Writes until there is no room, also for the smallest file. */
async function fill(folder: string, on: string): Promise<void> {
  await mustRun('mkdir', [folder])
  for (let i = 0; i < 100; i += 1) {
    const { bavail, bsize } = await statfs(on)
    const bytes = Math.max(bavail * bsize, 4096)
    const failed = await writeFile(join(folder, `${i}`), Buffer.alloc(bytes)).then(
      () => false,
      () => true,
    )
    if (failed && bytes === 4096) return
  }
  throw new Error('the disk does not fill')
}

/** Files below istiod's folder that do not hold whole objects. */
async function unreadable(dataDir: string): Promise<string[]> {
  const names = (await readdir(dataDir, { recursive: true })).filter((name) => /config\/.*\.yaml$/.test(name))
  const wrong: string[] = []
  for (const name of names) {
    const text = await readFile(join(dataDir, name), 'utf8').catch(() => undefined)
    if (text !== undefined && parseFile(text) === undefined) wrong.push(name)
  }
  return wrong
}

/** What `/readyz` says, also when it is no good news. */
async function readiness(world: World): Promise<string> {
  return world.operator.call('GET', '/readyz').then(JSON.stringify, ({ message }: Error) => message)
}

async function isAlive(pid: number): Promise<boolean> {
  return readFile(`/proc/${pid}/stat`, 'utf8').then(
    () => true,
    () => false,
  )
}
