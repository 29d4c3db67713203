import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import type { PoolView, VmView } from '../../shared/api/operator.ts'
import { bakeSidecar } from '../testbed/bake.ts'
import { mustRun } from '../testbed/command.ts'
import { ensureParts } from '../testbed/parts/parts.ts'
import { silentProgress } from '../testbed/progress.ts'
import { failuresOf } from '../world/load.ts'
import { type Member, tail } from '../world/member.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { clientPool, createWorld, type World } from '../world/world.ts'

// Short, so that what does not get ready is seen soon; long enough for a busy machine to start a good one.
const rollout = { readyWithinSeconds: 45 }
const loadOptions = { 'download-seconds': 3, 'tcp-reopen-ms': 3_000 }

t.test('another version of the sidecar goes from VM to VM under load: no request fails', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-upgrade-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const whole = await bakeSidecar({ parts: await ensureParts({ progress: silentProgress }) })
  const world = await createWorld({
    name: 'upgrade',
    servers: { rollout },
    // What calls stays as it is, so that every failed request is one of the servers'.
    clients: { rollout: { ...rollout, paused: true } },
  })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  const servers = [await world.boot('a', 'servers'), await world.boot('b', 'servers')]
  const sidecars = () => Promise.all([caller, ...servers].map((member) => member.sidecar()))

  await t.test('one that cannot be unpacked: one VM tries it, nobody runs it, nobody closes', async (t) => {
    const broken = join(dir, 'broken.tar.gz')
    await copyFile(whole.path, broken)
    await truncate(broken, 8 * 2 ** 20)
    const before = await sidecars()
    const load = world.load(caller, { options: loadOptions })
    await load.firstOk
    await offer(world, 'broken', broken)
    await halted(world, 'broken')
    const said = await Promise.all(servers.map((member) => readFile(member.agentLog, 'utf8')))
    t.equal(said.filter((text) => /"code":"ARTIFACT_\w+"/.test(text)).length, 1, 'one VM tried')
    const count = load.progress().requests
    await waitFor(() => load.progress().requests > count + 300, { what: 'load after the refusal' })
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.same(await sidecars(), before, 'the old ones run on')
    for (const member of servers) await serves(member, world.sidecar.version)
    t.comment(sceneLine('broken-sidecar-offered', summary))
  })

  await t.test(
    'one that does not start: one VM is closed for it, and goes back to the old one',
    async (t) => {
      const dead = join(dir, 'dead.tar.gz')
      await bakeDead(whole.path, dead)
      const before = await sidecars()
      const load = world.load(caller, { options: loadOptions })
      await load.firstOk
      await offer(world, 'dead', dead)
      await halted(world, 'dead')
      for (const member of servers) await serves(member, world.sidecar.version)
      const after = await sidecars()
      t.equal(after.filter(({ envoy }, i) => envoy !== before[i]?.envoy).length, 1, 'one was started anew')
      const count = load.progress().requests
      await waitFor(() => load.progress().requests > count + 300, { what: 'load after the refusal' })
      const summary = await load.stop()
      t.equal(summary.failed, 0, failuresOf(summary))
      const entry = (await world.operator.audit()).find(({ action, detail }) => {
        return action === 'rollout.halt' && detail?.includes('dead') === true
      })
      t.ok(entry, 'the audit says which version, where and why')
      t.comment(sceneLine('dead-sidecar-offered', summary))
    },
  )

  await t.test('a good one: every VM gets it, one after the other', async (t) => {
    const next = join(dir, 'next.tar.gz')
    // An empty member at the end: other bytes, the same files.
    await writeFile(next, Buffer.concat([await readFile(whole.path), gzipSync('')]))
    const before = await sidecars()
    const crashes = await Promise.all(servers.map(async (member) => (await member.view()).sidecarRestarts))
    const load = world.load(caller, { options: loadOptions })
    await load.firstOk
    await offer(world, 'next', next)
    const done = await progress(world, 'servers', ({ state }) => state === 'done')
    t.match(done, { version: 'next', updated: 2, total: 2 })
    const views = await Promise.all(servers.map((member) => serves(member, 'next')))
    t.same(
      views.map(({ sidecarRestarts }) => sidecarRestarts),
      crashes,
      'a wanted restart is no crash',
    )
    const count = load.progress().requests
    await waitFor(() => load.progress().requests > count + 300, { what: 'load on the next version' })
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    const after = await sidecars()
    t.same(
      after.map(({ envoy }, i) => envoy !== before[i]?.envoy),
      [false, true, true],
      'each server has another Envoy, and the paused pool has its own',
    )
    t.comment(sceneLine('sidecar-rolled-out', summary))
  })

  await t.test('a pool that is paused no more follows, also with one VM', async (t) => {
    await world.operator.applyPool('clients', { ...clientPool, rollout })
    await progress(world, 'clients', ({ state }) => state === 'done')
    await serves(caller, 'next')
    const load = world.load(caller, { options: loadOptions })
    await load.firstOk
    await waitFor(() => load.progress().requests > 200, { what: 'load through the next version' })
    t.equal((await load.stop()).failed, 0)
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

/** The same archive with an Envoy that ends at once. */
async function bakeDead(from: string, to: string): Promise<void> {
  const folder = `${to}.files`
  await mkdir(folder)
  await mustRun('tar', ['-xzf', from, '-C', folder])
  await writeFile(join(folder, 'bin/envoy'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
  const files = ['bin/envoy', 'bin/pilot-agent', 'envoy_bootstrap_tmpl.json']
  await mustRun('tar', ['-czf', to, '-C', folder, ...files])
}

type Progress = NonNullable<PoolView['rollout']>

async function progress(world: World, pool: string, isSo: (now: Progress) => boolean): Promise<Progress> {
  return waitFor(
    async () => {
      const { rollout: now } = await world.operator.pool(pool)
      return now !== undefined && isSo(now) && now
    },
    {
      what: `the rollout in ${pool}`,
      limitMs: 240_000,
      everyMs: 250,
      onTimeout: async () =>
        JSON.stringify([await world.operator.pool(pool), await world.operator.vms(pool)]),
    },
  )
}

async function halted(world: World, version: string): Promise<void> {
  await progress(world, 'servers', (now) => now.state === 'halted' && now.version === version)
}

async function serves(member: Member, version: string): Promise<VmView> {
  return waitFor(
    async () => {
      const seen = await member.view()
      const isFine = seen.conditions.every(({ status }) => status === 'True')
      return isFine && seen.phase === 'ready' && seen.sidecarVersion === version && seen
    },
    {
      what: `${member.name} to serve with ${version}`,
      limitMs: 120_000,
      onTimeout: async () => `${JSON.stringify(await member.view())}\n${await tail(member.agentLog)}`,
    },
  )
}
