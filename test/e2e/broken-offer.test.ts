import { copyFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { StatusView } from '../../agent/commands/status.ts'
import { bakeSidecar } from '../testbed/bake.ts'
import { ensureParts } from '../testbed/parts/parts.ts'
import { silentProgress } from '../testbed/progress.ts'
import { call } from '../world/call.ts'
import { type Member, tail } from '../world/member.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, echo, serverPool, type World } from '../world/world.ts'

t.test('a VM boots while a sidecar is offered that cannot be installed', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-offer-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const whole = await bakeSidecar({ parts: await ensureParts({ progress: silentProgress }) })
  const world = await createWorld({ name: 'offer' })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  const server = await world.boot('server', 'servers')
  const { sidecarVersion } = await server.view()
  t.ok(sidecarVersion)

  const broken = join(dir, 'broken.tar.gz')
  await copyFile(whole.path, broken)
  await truncate(broken, 8 * 2 ** 20)
  await offer(world, 'broken', broken)
  const before = await waitFor(async () => refusal(await server.view()), {
    what: 'the offer to be refused',
    onTimeout: () => tail(server.agentLog),
  })
  t.match(before.reason, /^ARTIFACT_/)

  await t.test('it starts the version that it has, and serves', async (t) => {
    const old = await cutPower(server)
    await server.startAgent()
    await started(server, old)
    const view = await waitFor(
      async () => {
        const seen = await server.view()
        return seen.phase === 'ready' && refusal(seen) !== undefined && seen
      },
      { what: 'it to be back in the mesh', onTimeout: () => tail(server.agentLog) },
    )
    t.equal(view.sidecarVersion, sidecarVersion, 'what runs is told, not what is offered')
    await answers(caller)
    const local = JSON.parse((await server.agent('status', '--json')).stdout) as StatusView
    t.match(local, { stage: 'serving', sidecar: { running: true, version: sidecarVersion } })
    t.match(await world.operator.explain(view.id), {
      ready: true,
      summary: /serves, but .* is False/,
      step: 'SidecarInstalled',
      cause: new RegExp(`version ${sidecarVersion} goes on`),
    })
    t.notOk(
      (await versions(server)).some((name) => name.startsWith('broken')),
      'nothing of it is kept',
    )
  })

  await t.test('the same when the archive cannot be got at all', async (t) => {
    await offer(world, 'gone', broken)
    await rm(broken)
    const old = await cutPower(server)
    await server.startAgent()
    await started(server, old)
    await server.waitPhase('ready')
    await answers(caller)
    t.equal((await server.view()).sidecarVersion, sidecarVersion)
  })

  await t.test('the offer is taken back: nothing is wrong any more, and nothing restarts', async (t) => {
    const running = await server.sidecar()
    await offer(world, whole.version, whole.path)
    await world.operator.applyPool('servers', { ...serverPool, rollout: { readyWithinSeconds: 5 } })
    await waitFor(
      async () => {
        const { conditions, phase } = await server.view()
        return phase === 'ready' && conditions.every(({ status }) => status === 'True')
      },
      { what: 'all to be well', onTimeout: async () => JSON.stringify(await server.view()) },
    )
    t.same(await server.sidecar(), running)
    t.match(await world.operator.explain((await server.view()).id), {
      summary: 'It is in the mesh and serves.',
    })
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

function refusal({ conditions }: Awaited<ReturnType<Member['view']>>) {
  return conditions.find(({ type, status }) => type === 'SidecarInstalled' && status === 'False')
}

/** Agent, pilot-agent and Envoy are gone from one moment to the next, and the rules of the kernel too. */
async function cutPower(member: Member): Promise<{ envoy?: number }> {
  const { pilotAgent, envoy } = await member.sidecar()
  await member.killAgent()
  for (const pid of [pilotAgent, envoy]) if (pid !== undefined) process.kill(pid, 'SIGKILL')
  await waitFor(async () => Object.keys(await member.sidecar()).length === 0, { what: 'the sidecar to die' })
  await member.vm.exec('iptables', ['-t', 'nat', '-F'])
  return envoy === undefined ? {} : { envoy }
}

async function started(member: Member, old: { envoy?: number }): Promise<void> {
  await waitFor(
    async () => {
      const { envoy } = await member.sidecar()
      return envoy !== undefined && envoy !== old.envoy
    },
    { what: 'an Envoy', onTimeout: () => tail(member.agentLog) },
  )
}

async function versions(member: Member): Promise<readonly string[]> {
  return readdir(join(member.vm.root, 'var/lib/mooring/sidecar/versions'))
}

async function answers(caller: Member): Promise<void> {
  await waitFor(async () => (await call(caller.vm, `http://${echo.host}:${echo.http}/`)).status === 200, {
    what: 'an answer over the mesh',
  })
}
