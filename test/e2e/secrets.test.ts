import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Member } from '../world/member.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, type World } from '../world/world.ts'

t.test('no secret is in a log, a process list, an answer, or a file that others may read', async (t) => {
  const world = await createWorld({ name: 'secrets' })
  t.teardown(() => world.close())
  const joinToken = (await world.operator.createToken('servers')).token
  const a = await world.boot('a', 'servers', { token: joinToken })
  const b = await world.boot('b', 'servers')
  // A refusal too: what is refused is written down.
  const stranger = await world.prepare('stranger', 'clients', { token: joinToken })
  await stranger.startAgent()
  await waitFor(
    async () => (await world.operator.audit()).some((record) => record.code === 'TOKEN_FOR_OTHER_POOL'),
    { what: 'the refusal' },
  )
  const secrets = await collectSecrets(world, [a, b], joinToken)
  t.ok(Object.keys(secrets).length >= 8, `looked for: ${Object.keys(secrets).join(', ')}`)

  await t.test('in no command line and no environment of any process', async (t) => {
    const seen: string[] = []
    let processes = 0
    for (const namespace of [world.network.host, a.vm, b.vm, stranger.vm]) {
      for (const pid of await namespace.pids()) {
        processes++
        for (const file of ['cmdline', 'environ']) {
          const text = await readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '')
          seen.push(...found(secrets, text).map((name) => `${name} in ${file} of ${text.slice(0, 80)}`))
        }
      }
    }
    t.ok(processes > 8, `${processes} processes`)
    t.same(seen, [])
  })

  await t.test('in no answer to an operator', async (t) => {
    const answers = [
      world.operator.metrics(),
      ...['/v1/audit?limit=1000', '/v1/vms', '/v1/tokens', '/v1/operators', '/v1/pools'].map((path) =>
        world.operator.call('GET', path),
      ),
    ]
    for (const answer of await Promise.all(answers)) t.same(found(secrets, JSON.stringify(answer)), [])
  })

  await world.operator.drain((await b.view()).id)
  await b.waitPhase('left')
  t.equal(await a.shutDown(), 0)

  await t.test('in files only where nobody else may read', async (t) => {
    const files = await filesUnder(world.network.tempDir)
    const open: string[] = []
    let holders = 0
    for (const file of files) {
      // The token file is the test's own; programs hold no secret.
      if (file.endsWith('/etc/mooring/token') || file.includes('/sidecar/versions/')) continue
      const { mode, size } = await stat(file)
      if (size > 16 * 2 ** 20) continue
      const names = found(secrets, await readFile(file, 'latin1'))
      if (names.length > 0) holders++
      if (names.length > 0 && ((mode & 0o077) !== 0 || file.endsWith('.log')))
        open.push(`${names.join(', ')} in ${file} (${(mode & 0o777).toString(8)})`)
    }
    t.ok(holders > 0, `${holders} files hold secrets, of ${files.length}`)
    t.same(open, [])
  })
})

/** Everything secret that exists in this world, by what it is. A part of each is enough to find it. */
async function collectSecrets(
  world: World,
  members: readonly Member[],
  joinToken: string,
): Promise<Record<string, string>> {
  const secrets: Record<string, string> = {
    'join token': joinToken,
    "operator's token": world.operator.token,
    'enrolment code': world.controller.enrolmentCode,
  }
  const add = (name: string, text: string) => {
    for (const [index, [, body = '']] of [...text.matchAll(privateKey)].entries())
      secrets[`${name} ${index + 1}`] = lines(body).at(1) ?? lines(body)[0] ?? ''
  }
  for (const { name, vm } of members) {
    const state = await readFile(join(vm.root, 'var/lib/mooring/state.json'), 'utf8')
    add(`key of agent ${name}`, JSON.stringify(JSON.parse(state), null, 1).replaceAll('\\n', '\n'))
    const token = join(vm.root, 'var/lib/mooring/sidecar/run/var/run/secrets/tokens/istio-token')
    secrets[`workload token of ${name}`] = (await readFile(token, 'utf8')).split('.')[2] ?? ''
  }
  for (const file of await filesUnder(world.controller.dataDir))
    if (/pem|key/.test(file)) add(`key in ${file.split('/').at(-1)}`, await readFile(file, 'utf8'))
  return secrets
}

const privateKey = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+([^-]+)/g

const lines = (text: string) => text.split(/\s+/).filter((line) => line.length > 20)

function found(secrets: Record<string, string>, text: string): readonly string[] {
  return Object.entries(secrets)
    .filter(([, secret]) => secret !== '' && text.includes(secret))
    .map(([name]) => name)
}

async function filesUnder(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}
