import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { bakeSidecar } from '../testbed/bake.ts'
import { ensureParts } from '../testbed/parts/parts.ts'
import { silentProgress } from '../testbed/progress.ts'
import { call } from '../world/call.ts'
import { failuresOf } from '../world/load.ts'
import { type Member, tail } from '../world/member.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, echo, type World } from '../world/world.ts'

t.test('another version of the sidecar is offered to VMs that serve', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-upgrade-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const whole = await bakeSidecar({ parts: await ensureParts({ progress: silentProgress }) })
  const world = await createWorld({ name: 'upgrade' })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  const servers = [await world.boot('a', 'servers'), await world.boot('b', 'servers')]
  const members = [caller, ...servers]

  await t.test(
    'one that cannot be unpacked: never run, the old one serves on, no request fails',
    async (t) => {
      const broken = join(dir, 'broken.tar.gz')
      await copyFile(whole.path, broken)
      await truncate(broken, 8 * 2 ** 20)
      const before = await Promise.all(members.map((member) => member.sidecar()))
      const load = world.load(caller, { options: { 'download-seconds': 3 } })
      await load.firstOk
      await offer(world, 'broken', broken)
      for (const member of members) await said(member, /"code":"ARTIFACT_\w+"/)
      const count = load.progress().requests
      await waitFor(() => load.progress().requests > count + 300, { what: 'load after the refusal' })
      const summary = await load.stop()
      t.equal(summary.failed, 0, failuresOf(summary))
      t.same(await Promise.all(members.map((member) => member.sidecar())), before, 'the old ones run on')
      for (const member of servers) {
        const view = await member.view()
        t.equal(view.phase, 'ready', `${member.name} serves on`)
        const installed = view.conditions.find(({ type }) => type === 'SidecarInstalled')
        t.equal(installed?.status, 'False', 'and the operator sees what is wrong')
        t.match(installed?.reason, /^ARTIFACT_/)
      }
      t.comment(sceneLine('broken-sidecar-offered', summary))
    },
  )

  await t.test('a good one: every VM gets it, and is ready again', async (t) => {
    const next = join(dir, 'next.tar.gz')
    // An empty member at the end: other bytes, the same files.
    await writeFile(next, Buffer.concat([await readFile(whole.path), gzipSync('')]))
    const before = await Promise.all(members.map((member) => member.sidecar()))
    await offer(world, 'next', next)
    for (const [i, member] of members.entries()) {
      await waitFor(
        async () => {
          const { envoy } = await member.sidecar()
          return envoy !== undefined && envoy !== before[i]?.envoy
        },
        {
          what: `another Envoy on ${member.name}`,
          limitMs: 120_000,
          onTimeout: () => tail(member.agentLog),
        },
      )
    }
    for (const member of members) {
      const view = await waitFor(
        async () => {
          const seen = await member.view()
          const isFine = seen.conditions.every(({ status }) => status === 'True')
          return isFine && seen.phase === 'ready' && seen
        },
        {
          what: `${member.name} to be ready again`,
          onTimeout: async () => JSON.stringify(await member.view()),
        },
      )
      t.equal(view.sidecarVersion, 'next')
      t.equal(view.sidecarRestarts, 0, 'a wanted restart is no crash')
    }
    await waitFor(async () => (await call(caller.vm, `http://${echo.host}:${echo.http}/`)).status === 200, {
      what: 'an answer by the next version',
    })
    const load = world.load(caller, { options: { 'download-seconds': 2 } })
    await load.firstOk
    await waitFor(() => load.progress().requests > 200, { what: 'load on the next version' })
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
  })
})

/** The controller comes back with this archive as the only one. */
async function offer(world: World, version: string, file: string): Promise<void> {
  const path = join(world.network.hostDir, 'controller.yaml')
  const config = JSON.parse(await readFile(path, 'utf8')) as { sidecar: { artifacts: object[] } }
  config.sidecar.artifacts = [{ ...config.sidecar.artifacts[0], version, file }]
  await writeFile(path, JSON.stringify(config))
  await world.controller.stop()
  await world.controller.start()
}

async function said(member: Member, what: RegExp): Promise<void> {
  await waitFor(async () => what.test(await readFile(member.agentLog, 'utf8')), {
    what: `${member.name} to say ${what}`,
    limitMs: 90_000,
    onTimeout: () => tail(member.agentLog),
  })
}
