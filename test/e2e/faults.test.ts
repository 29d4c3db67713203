import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { bakeSidecar } from '../testbed/bake.ts'
import { mustRun } from '../testbed/command.ts'
import { ensureParts } from '../testbed/parts/parts.ts'
import { silentProgress } from '../testbed/progress.ts'
import { tail } from '../world/member.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld } from '../world/world.ts'

t.test('the controller is down at boot: the agent says so, waits, and joins when it is back', async (t) => {
  const world = await createWorld({ name: 'down' })
  t.teardown(() => world.close())
  const member = await world.prepare('early', 'servers')
  await world.controller.stop()
  await member.startApp()
  await member.startAgent()
  await waitFor(async () => (await readFile(member.agentLog, 'utf8')).includes('CONTROLLER_UNREACHABLE'), {
    what: 'the agent to say that the controller cannot be reached',
  })
  const status = await member.agent('status', '--json')
  t.match(status.stdout, 'CONTROLLER_UNREACHABLE', 'its status says the same')
  await world.controller.start()
  t.equal((await member.waitPhase('ready')).phase, 'ready')
})

t.test('an artifact cut short while it is served never runs, and the whole one mends it', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-artifact-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const whole = await bakeSidecar({ parts: await ensureParts({ progress: silentProgress }) })
  const served = join(dir, 'sidecar.tar.gz')
  await copyFile(whole.path, served)
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64'
  const world = await createWorld({
    name: 'artifact',
    controller: { artifacts: [{ version: whole.version, arch, file: served }] },
  })
  t.teardown(() => world.close())
  // After the start, when its digest is known to the controller.
  await truncate(served, 1_000_000)
  const member = await world.prepare('victim', 'servers', { baked: false })
  await member.startApp()
  await member.startAgent()
  await waitFor(
    async () => /ARTIFACT_(DIGEST_MISMATCH|UNAVAILABLE)/.test(await readFile(member.agentLog, 'utf8')),
    { what: 'the refusal', onTimeout: () => tail(member.agentLog) },
  )
  t.same(await member.sidecar(), {}, 'nothing of it runs')
  const { step } = await world.operator.explain((await member.view()).id)
  t.equal(step, 'SidecarInstalled')

  await copyFile(whole.path, served)
  // It looks at its files when it starts.
  await world.controller.stop()
  await world.controller.start()
  t.equal((await member.waitPhase('ready')).phase, 'ready', 'the whole file mends it')
})

t.test(
  'the disk is full while the agent writes: a clear error, and it goes on when there is room',
  async (t) => {
    const world = await createWorld({ name: 'full' })
    t.teardown(() => world.close())
    const member = await world.prepare('crowded', 'servers', { baked: false })
    const state = join(member.vm.root, 'var/lib/mooring')
    await mustRun('mkdir', ['-p', state])
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=20m,mode=0755', 'tmpfs', state])
    t.teardown(() => mustRun('umount', ['-l', state]))
    await member.startApp()
    await member.startAgent()
    await waitFor(async () => (await readFile(member.agentLog, 'utf8')).includes('DISK_FULL'), {
      what: 'the agent to say that the disk is full',
      onTimeout: () => tail(member.agentLog),
    })
    const { step, fix } = await world.operator.explain((await member.view()).id)
    t.equal(step, 'SidecarInstalled')
    t.match(fix, /free/i)
    await mustRun('mount', ['-o', 'remount,size=400m', state])
    t.equal((await member.waitPhase('ready')).phase, 'ready')
  },
)

t.test('SIGTERM during the join: nothing stays behind', async (t) => {
  const world = await createWorld({ name: 'term' })
  t.teardown(() => world.close())
  // Each pause ends the agent at another place of its way.
  for (const phrase of ['agent started', 'joined', 'sidecar']) {
    const member = await world.prepare(`early-${phrase.replace(' ', '-')}`, 'servers')
    await member.startApp()
    await member.startAgent()
    await waitFor(async () => (await readFile(member.agentLog, 'utf8')).includes(phrase), {
      what: `"${phrase}" in its log`,
      everyMs: 5,
      onTimeout: () => tail(member.agentLog),
    })
    t.equal(await member.shutDown(), 0, phrase)
    t.same(await member.sidecar(), {}, 'no sidecar runs')
    const rules = await member.vm.exec('iptables-save', ['-t', 'nat'])
    t.notMatch(rules.stdout, 'ISTIO', 'no rule is left')
    const ours = (await world.operator.vms()).filter((vm) => vm.address === member.vm.address)
    t.ok(
      ours.every((vm) => vm.phase === 'left'),
      `the controller agrees: ${ours.map((vm) => vm.phase)}\n${await tail(member.agentLog)}`,
    )
  }
})

t.test('a second agent on one VM refuses', async (t) => {
  const world = await createWorld({ name: 'two' })
  t.teardown(() => world.close())
  const member = await world.boot('single', 'servers')
  const second = await member.agent('run')
  t.not(second.code, 0)
  t.match(second.stderr, 'ALREADY_RUNNING')
  t.equal((await member.view()).phase, 'ready')
})

t.test('the clock of a VM is 10 minutes off: it is told, and joins', async (t) => {
  const world = await createWorld({ name: 'clock' })
  t.teardown(() => world.close())
  const library = (await mustRun('sh', ['-c', 'ls /usr/lib/*/faketime/libfaketime.so.1'])).stdout.trim()
  const member = await world.prepare('late', 'servers')
  await member.startApp()
  await member.startAgent({
    env: { LD_PRELOAD: library, FAKETIME: '-10m', FAKETIME_DONT_FAKE_MONOTONIC: '1' },
  })
  const view = await waitFor(
    async () => {
      const found = (await world.operator.vms()).find((vm) => vm.address === member.vm.address)
      return found?.conditions.some((c) => /clock/i.test(`${c.reason} ${c.message}`)) === true && found
    },
    {
      what: 'it to join all the same, and say that its clock is wrong',
      onTimeout: () => tail(member.agentLog),
    },
  )
  t.equal(view.conditions.find((c) => /clock/i.test(`${c.reason} ${c.message}`))?.type, 'HostFit')
})

t.test('half-written state: the copy serves, and it is the same VM', async (t) => {
  const world = await createWorld({ name: 'state' })
  t.teardown(() => world.close())
  const member = await world.boot('torn', 'servers')
  const before = await member.view()
  await member.killAgent()
  const file = join(member.vm.root, 'var/lib/mooring/state.json')
  const text = await readFile(file, 'utf8')
  await writeFile(file, text.slice(0, text.length / 2))
  await member.startAgent()
  await waitFor(async () => (await world.operator.vm(before.id)).connected, { what: 'it to be back' })
  t.equal((await world.operator.vms()).length, 1, 'no second VM')
})
