import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import type { PoolSpec } from '../../shared/api/operator.ts'
import type { Member } from '../world/member.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, serverPool, type World } from '../world/world.ts'

const healthServer = resolve(import.meta.dirname, '../testbed/apps/grpc-health-server.ts')
const healthPort = 9090

/** A VM of a pool of its own that is asked in this way. */
async function boot(world: World, name: string, probe: NonNullable<PoolSpec['probe']>): Promise<Member> {
  const { service: _none, ...spec } = serverPool
  await world.operator.applyPool(name, { ...spec, labels: { app: name }, probe })
  const member = await world.prepare(name, name)
  await member.startAgent()
  return member
}

async function whySick(world: World, member: Member): Promise<string> {
  const { id } = await member.waitPhase('unhealthy')
  const { step, cause } = await world.operator.explain(id)
  return `${step}: ${cause}`
}

t.test('a pool asks its application by a command or by gRPC, as the shipped agent does it', async (t) => {
  const world = await createWorld({ name: 'probes' })
  t.teardown(() => world.close())
  const first = await boot(world, 'image', {})
  await first.waitPhase('ready')
  await world.bake(first)

  await t.test('by a command: as nobody, outside of the sidecar’s group, ended in time', async (t) => {
    // Below /tmp, where nobody may look, too.
    const folder = await mkdtemp(join(tmpdir(), 'mooring-probes-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    await chmod(folder, 0o755)
    const flag = join(folder, 'well')
    const said = join(folder, 'said')
    await writeFile(said, '')
    await chmod(said, 0o666)
    const script = `{ id -u; id -g; id -G; env | sort; } > ${said} 2>&1; test -e ${flag} || { echo no flag >&2; exit 1; }; test ! -e ${flag}.slow || sleep 600`
    const probe = { exec: { command: ['/bin/sh', '-c', script] }, timeoutSeconds: 5, failures: 1 }
    const member = await boot(world, 'by-command', probe)
    t.match(await whySick(world, member), /ApplicationHealthy: .*ended with 1: no flag/)
    await writeFile(flag, '')
    await member.waitPhase('ready')
    const [uid, gid, groups, ...env] = (await readFile(said, 'utf8')).trim().split('\n')
    t.same([uid, gid, groups], ['65534', '65534', '65534'])
    t.same(
      env
        .map((line) => line.split('=')[0])
        .filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name ?? '')),
      ['LANG', 'PATH'],
    )
    await writeFile(`${flag}.slow`, '')
    t.match(await whySick(world, member), /did not answer in time/)
    await rm(`${flag}.slow`)
    await member.waitPhase('ready')
    t.equal(await running(member, 'sleep 600'), 0, 'nothing of the command is left')
  })

  await t.test('by gRPC: SERVING is well, and nothing else', async (t) => {
    const member = await boot(world, 'by-grpc', {
      grpc: { port: healthPort, service: 'shop.Cart' },
      timeoutSeconds: 5,
    })
    t.match(await whySick(world, member), /nothing listens there/)
    const file = join(t.testdir(), 'status')
    await writeFile(file, '1')
    const app = member.vm.spawn(
      process.execPath,
      [healthServer, '--port', String(healthPort), '--service', 'shop.Cart', '--file', file],
      {
        stdio: ['ignore', 'ignore', 'ignore'],
      },
    )
    app.once('error', () => {})
    await member.waitPhase('ready')
    await writeFile(file, '2')
    t.match(await whySick(world, member), /says NOT_SERVING/)
    await writeFile(file, '1')
    await member.waitPhase('ready')
  })
})

/** How many processes of the VM have this in their command line, once they have had the time to end. */
async function running({ vm }: Member, words: string): Promise<number> {
  const count = async () => {
    const lines = await Promise.all(
      (await vm.pids()).map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
    )
    return lines.filter((line) => line.replaceAll('\0', ' ').startsWith(words)).length
  }
  await waitFor(async () => (await count()) === 0, { what: `no ${words} to be left` })
  return count()
}
