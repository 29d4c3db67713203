import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { bakeSidecar } from '../../testbed/bake.ts'
import { createNetwork } from '../../testbed/network/network.ts'
import type { Vm } from '../../testbed/network/vm.ts'
import { ensureParts } from '../../testbed/parts/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { startIstiod, until } from './istiod.ts'
import { bundleFor, poolObjects, startDriver, stateOf } from './sidecar-vm.ts'

t.setTimeout(15 * 60_000)
const parts = await ensureParts({ progress: silentProgress })
const baked = await bakeSidecar({ parts })
const network = await createNetwork({ name: 'sidecar' })
t.teardown(() => network.close())
const istiod = await startIstiod(network, parts)
const [web, client] = await Promise.all([network.addVm('web'), network.addVm('client')])
await istiod.apply(poolObjects('web', 'web.mesh', [web]))
const app = fileURLToPath(new URL('../../testbed/apps/app-server.ts', import.meta.url))
web.spawn(process.execPath, [app, '--name', 'web', '--bind', '127.0.0.1'], { stdio: 'ignore' })

let driver = await startDriver(web, baked.path)
const peer = await startDriver(client, baked.path)
const bundle = await bundleFor(web, { istiod, baked, app: 'web' })

async function sidecars(vm: Vm): Promise<readonly { pid: number; name: string; state: string }[]> {
  const found = await Promise.all(
    (await vm.pids()).map(async (pid) => {
      const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
      const [, name = '', state = ''] = /\((.*)\) (\S)/.exec(text) ?? []
      return { pid, name, state }
    }),
  )
  return found.filter(({ name, state }) => ['pilot-agent', 'envoy'].includes(name) && state !== 'Z')
}

async function pidOf(vm: Vm, name: string): Promise<number> {
  const found = (await sidecars(vm)).find((one) => one.name === name)
  if (found === undefined) throw new Error(`no ${name}`)
  return found.pid
}

/** What a peer gets from the service by its name, through both sidecars. */
async function call(): Promise<string> {
  const { stdout } = await client.exec('curl', [
    '-s',
    '-m',
    '20',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code}',
    'http://web.mesh/',
  ])
  return stdout
}

t.test('a VM with nothing but the archive gets a ready, captured sidecar', async (t) => {
  t.comment(await driver.call('converge', { bundle }))
  await peer.call('converge', { bundle: await bundleFor(client, { istiod, baked, app: 'client' }) })
  await until(async () => (await call()) === '200')
  t.same(await driver.call('checks'), {
    install: true,
    files: true,
    sidecar: true,
    ready: true,
    capture: true,
  })
  t.match(await driver.call('health'), { health: 'healthy' })
  t.same(await driver.call('converge', { bundle }), {}, 'a second convergence does nothing')
  for (const { pid } of await sidecars(web)) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    t.match(status, /^Uid:\t1337\t1337\t1337\t1337$/m)
    t.match(status, /^Groups:[\t 1337]*$/m, 'no group of root is left')
  }
  const environment = (await readFile(`/proc/${await pidOf(web, 'pilot-agent')}/environ`, 'utf8')).split('\0')
  t.notOk(environment.some((line) => line.startsWith('PATH=') || line.includes(bundle.token.value)))
})

t.test('peers are reached by mutual TLS, as who they are', async (t) => {
  const { stdout } = await client.exec('curl', ['-s', 'http://web.mesh/'])
  t.match(stdout, 'spiffe://cluster.local/ns/default/sa/client')
  const plain = await network.host.exec('curl', [
    '-s',
    '-m',
    '3',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code}',
    `http://${web.address}:8080/`,
  ])
  t.equal(plain.stdout, '000', 'plain text is refused')
})

t.test('a new token is written and nothing restarts', async (t) => {
  const pid = await pidOf(web, 'pilot-agent')
  const fresh = { ...bundle, token: { ...bundle.token, value: await istiod.token('web') } }
  t.same(Object.keys(await driver.call('converge', { bundle: fresh })), ['files'])
  const token = join(stateOf(web), 'sidecar/run/var/run/secrets/tokens/istio-token')
  const info = await stat(token)
  t.same([info.mode & 0o777, info.uid], [0o600, 1337])
  t.equal(await readFile(token, 'utf8'), fresh.token.value)
  t.equal(await pidOf(web, 'pilot-agent'), pid)
})

for (const victim of ['envoy', 'pilot-agent']) {
  t.test(`${victim} is killed: told at once, serving again, nothing left over`, async (t) => {
    const since = driver.events.length
    const before = await sidecars(web)
    const pid = await pidOf(web, victim)
    const at = Date.now()
    process.kill(pid, 'SIGKILL')
    const down = await driver.event((e) => e.event === 'health' && e.health === 'unhealthy', since)
    const back = await driver.event((e) => e.event === 'health' && e.health === 'healthy', since)
    t.comment(`told after ${down.at - at} ms, ready again after ${back.at - at} ms`)
    await until(async () => (await call()) === '200')
    const after = await sidecars(web)
    t.equal(after.length, 2, 'one pilot-agent and one Envoy')
    t.notOk(after.some(({ pid }) => before.some((old) => old.pid === pid)))
    const state = await driver.call('state')
    t.match(state, { running: true, downForGood: false })
    t.ok(state.restarts >= 1)
  })
}

t.test('the agent dies: traffic goes on, and the next one adopts the sidecar', async (t) => {
  const before = (await sidecars(web)).map(({ pid }) => pid).toSorted()
  await driver.kill()
  t.equal(await call(), '200')
  driver = await startDriver(web, baked.path)
  const applied = await driver.call('converge', { bundle })
  t.notOk(
    Object.keys(applied).some((step) => ['install', 'ready', 'capture'].includes(step)),
    'nothing was done again',
  )
  t.same((await sidecars(web)).map(({ pid }) => pid).toSorted(), before)

  const since = driver.events.length
  process.kill(await pidOf(web, 'pilot-agent'), 'SIGKILL')
  await driver.event((e) => e.event === 'sidecar' && e.running === false, since)
  await driver.event((e) => e.event === 'health' && e.health === 'healthy', since)
  await until(async () => (await call()) === '200')
  t.equal((await sidecars(web)).length, 2, 'an adopted sidecar is watched as one of its own')
})

t.test('an agent that died before it wrote down the sidecar finds it by its program', async (t) => {
  await driver.kill()
  const record = join(stateOf(web), 'sidecar/process.json')
  const { rm } = await import('node:fs/promises')
  await rm(record)
  const before = await pidOf(web, 'pilot-agent')
  driver = await startDriver(web, baked.path)
  await driver.call('converge', { bundle })
  t.not(await pidOf(web, 'pilot-agent'), before, 'unknown: replaced')
  t.equal((await sidecars(web)).length, 2)
  await until(async () => (await call()) === '200')
})

t.test('another specification is another process', async (t) => {
  const before = await pidOf(web, 'pilot-agent')
  const other = { ...bundle, workload: { ...bundle.workload, labels: { app: 'web', version: 'v2' } } }
  t.same(
    Object.keys(await driver.call('converge', { bundle: other })).filter((step) => step !== 'files'),
    ['sidecar', 'ready'],
  )
  t.not(await pidOf(web, 'pilot-agent'), before)
  await until(async () => (await call()) === '200')
})

t.test('undo leaves no process and no rule', async (t) => {
  await driver.call('undo')
  t.same(await sidecars(web), [])
  const saved = await web.exec('iptables-nft-save')
  t.notMatch(saved.stdout, 'ISTIO_')
  await driver.call('undo')
  t.same(await readdir(join(stateOf(web), 'sidecar/versions')).then((names) => names.length), 1)
})
