import { cp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import type { InjectedVm, InjectionView } from '../../../shared/api/injection.ts'
import type { Container } from '../../testbed/machines/machine.ts'
import { createMooring } from '../../world/mooring.ts'
import { waitFor } from '../../world/waiting.ts'
import { run, viewOf } from './agent-image.ts'
import { createSshScene, knownHosts, secrets, snapshot } from './ssh-scene.ts'

const units = resolve(import.meta.dirname, '../../../packaging/systemd')

t.test('machines without an agent are made VMs by SSH, and are not any more', async (t) => {
  const scene = await createSshScene(t, 'ssh')
  const { world } = scene
  const [box, far] = await Promise.all([scene.boot('box'), scene.boot('far')])
  const known = (await Promise.all([box, far].map(knownHosts))).join('')
  const before = new Map<Container, string>()
  for (const each of [box, far]) before.set(each, await snapshot(each))
  const isAsBefore = async (t: Test, machine: Container) =>
    t.same((await snapshot(machine)).split('\n'), before.get(machine)?.split('\n'), 'it is as it was')
  const only = ({ vms }: InjectionView): InjectedVm => {
    const [vm] = vms
    if (vm === undefined || vms.length > 1) throw new Error(`${vms.length} machines`)
    return vm
  }

  await t.test('a user with sudo, by a key; nothing secret is seen on the way', async (t) => {
    const looks: Promise<string>[] = []
    const view = await scene.inject(
      { targets: [{ host: box.address }], credential: 'sudoer', knownHosts: known },
      ({ vms }) => {
        if (vms[0]?.state === 'running' && looks.length < 40) looks.push(visible(box))
      },
    )
    const vm = only(view)
    t.match(vm, { state: 'done', changed: true, phase: 'ready', reconnects: 0 })
    t.equal((await viewOf(world, box))?.id, vm.vm)
    t.comment(`injected in ${((view.finishedAt ?? 0) - view.createdAt) / 1000} s`)
    t.ok(looks.length > 3, 'processes were looked at')
    t.same(
      (await Promise.all(looks)).filter((found) => found !== ''),
      [],
      'no command line, no environment',
    )
    const exists = await box.exec('ls', ['/var/lib/mooring-injection', '/etc/mooring/injected.token'])
    t.equal(exists.stdout, '', 'nothing is left of the way, and not the token')
    t.equal(await run(box, 'systemctl', 'is-enabled', 'mooring-agent'), 'enabled')
  })

  await t.test('again means nothing, and what changed alone is sent', async (t) => {
    const request = { targets: [{ host: box.address }], credential: 'sudoer', knownHosts: known }
    const id = (await viewOf(world, box))?.id
    const pid = await run(box, 'systemctl', 'show', '--value', '-p', 'MainPID', 'mooring-agent')
    t.match(only(await scene.inject(request)), { state: 'done', changed: false, vm: id })
    t.equal(await run(box, 'systemctl', 'show', '--value', '-p', 'MainPID', 'mooring-agent'), pid)

    const folder = join(scene.dir, 'agent/systemd')
    await rm(folder)
    await cp(units, folder, { recursive: true })
    const unit = join(folder, 'mooring-agent.service')
    await writeFile(unit, `${await readFile(unit, 'utf8')}\n# newer\n`)
    const vm = only(await scene.inject(request))
    t.match(vm, { state: 'done', changed: true, vm: id, phase: 'ready' })
    t.ok((vm.sent?.of ?? 1e9) < 1e6, 'the executable was there already')
    t.match(await run(box, 'cat', '/usr/lib/systemd/system/mooring-agent.service'), /# newer/)
    await rm(folder, { recursive: true })
    await symlink(units, folder)
  })

  await t.test('another pool is told whose it is', async (t) => {
    const vm = only(
      await scene.inject({ targets: [{ host: box.address }], pool: 'servers', knownHosts: known }),
    )
    t.match(vm, { state: 'failed', code: 'AGENT_FOREIGN', detail: /clients/ })
    t.equal((await viewOf(world, box))?.phase, 'ready')
  })

  await t.test('by password, which sudo asks for too, and through another machine', async (t) => {
    const jump = { host: box.address, credential: 'root' }
    const request = { targets: [{ host: far.address }], credential: 'typist', jump, knownHosts: known }
    const looks: Promise<string>[] = []
    const view = await scene.inject(request, ({ vms }) => {
      if (vms[0]?.state === 'running' && looks.length < 40) looks.push(visible(far))
    })
    t.match(only(view), { state: 'done', phase: 'ready' })
    t.same(
      (await Promise.all(looks)).filter((found) => found !== ''),
      [],
      'no password in a command line',
    )
    const gone = only(await scene.inject({ ...request, action: 'remove' }))
    t.match(gone, { state: 'done', changed: true })
    await waitFor(async () => (await viewOf(world, far)) === undefined, { what: 'it to have left' })
    await isAsBefore(t, far)
    t.match(only(await scene.inject({ ...request, action: 'remove' })), { state: 'done', changed: false })
  })

  await t.test(
    'the console vouches for a key; at first sight one is taken where the pool says so',
    async (t) => {
      const target = { host: far.address }
      const unknown = only(await scene.inject({ targets: [target] }))
      t.match(unknown, { state: 'failed', code: 'SSH_HOST_KEY_UNKNOWN', detail: /SHA256:/ })
      const key = await run(far, 'cat', '/etc/ssh/ssh_host_ed25519_key.pub')
      const consoleLog = `-----BEGIN SSH HOST KEY KEYS-----\n${key}\n-----END SSH HOST KEY KEYS-----\n`
      const byConsole = { targets: [{ ...target, consoleLog }] }
      t.match(only(await scene.inject({ ...byConsole, action: 'remove' })), { state: 'done', changed: false })

      const { spec } = await world.operator.pool('clients')
      await world.operator.applyPool('clients', { ...spec, injection: { firstSight: 'pin' } })
      const pinned = only(await scene.inject({ targets: [target], action: 'remove' }))
      t.match(pinned, { state: 'done', pinned: true, hostKey: /^SHA256:/ })
      t.match(
        await readFile(join(world.controller.dataDir, 'injection/known_hosts'), 'utf8'),
        key.split(' ')[1],
      )
      t.ok((await world.operator.audit()).some(({ action }) => action === 'ssh.pin'))
      await world.operator.applyPool('clients', spec)
      t.match(
        only(await scene.inject({ targets: [target], action: 'remove' })),
        { state: 'done' },
        'it is known now',
      )
      await t.rejects(scene.inject({ targets: [target], credential: 'other' }), { code: 'FORBIDDEN' })
      await t.rejects(scene.inject({ targets: [target], credential: 'missing' }), { code: 'NOT_FOUND' })
      const outside = only(await scene.inject({ targets: [{ host: '127.0.0.1' }] }))
      t.match(outside, { state: 'failed', code: 'ADDRESS_NOT_ALLOWED' })
    },
  )

  await t.test('by the command line, several at a time: some are done, and one fails', async (t) => {
    const mooring = createMooring(t.testdir())
    const caFile = join(scene.dir, 'ca.pem')
    const [tokenFile, hosts] = [join(scene.dir, 'token'), join(scene.dir, 'known_hosts')]
    await writeFile(caFile, world.controller.ca)
    await writeFile(tokenFile, world.operator.token, { mode: 0o600 })
    await writeFile(hosts, known)
    const env = {
      MOORING_URL: world.controller.operatorUrl,
      MOORING_CA_FILE: caFile,
      MOORING_TOKEN_FILE: tokenFile,
    }
    const slow = { env, timeoutMs: 300_000 }
    const common = ['--pool', 'clients', '--credential', 'root', '--known-hosts', hosts]
    const all = await mooring.run(['inject', far.address, box.address, `${box.address}:9`, ...common], slow)
    t.equal(all.code, 1, all.err)
    t.match(all.err, new RegExp(`${far.address}  injected: vm-[0-9a-f]+ is ready`))
    t.match(all.err, new RegExp(`${box.address}  injected: vm-`), 'it gets the old unit back')
    t.match(all.out, /SSH_UNREACHABLE/)
    t.match(all.out, /2 of 3 done/)
    const gone = await mooring.run(
      ['inject', '--remove', far.address, box.address, ...common, '--json'],
      slow,
    )
    t.equal(gone.code, 0, gone.err)
    t.match(JSON.parse(gone.out), { vms: [{ state: 'done' }, { state: 'done' }] })
    for (const each of [box, far]) {
      await waitFor(async () => (await viewOf(world, each)) === undefined, { what: 'it to have left' })
      await isAsBefore(t, each)
    }
  })

  await t.test('no record holds a secret', async (t) => {
    const log = await readFile(world.controller.logFile, 'utf8')
    const journals = await Promise.all([box, far].map((each) => each.journal(['-o', 'export'])))
    const seen = [log, ...journals, JSON.stringify(await world.operator.audit())]
    for (const text of seen) {
      t.notMatch(text, /mrj_[\w-]{20}|PRIVATE KEY/)
      t.notOk(text.includes(secrets.password))
    }
    t.ok(
      (await world.operator.audit()).some(
        ({ action, outcome }) => action === 'vm.inject' && outcome === 'done',
      ),
    )
  })
})

/** Lines of secrets in what any process of a machine shows to others. */
async function visible(box: Container): Promise<string> {
  const look = `cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' |
    grep -E 'mr[j]_|correct horse batter[y]|PRIVATE KE[Y]' || :`
  return (await box.exec('sh', ['-c', look])).stdout
}
