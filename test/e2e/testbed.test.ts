import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { LoadSummary } from '../testbed/apps/load-report.ts'
import { bakeSidecar } from '../testbed/bake.ts'
import { mustRun, runCommand } from '../testbed/command.ts'
import { listInstances } from '../testbed/network/instance.ts'
import { createNetwork, type Network } from '../testbed/network/network.ts'
import { identifyProcess } from '../testbed/network/process-identity.ts'
import type { Vm } from '../testbed/network/vm.ts'
import { ensureParts } from '../testbed/parts/parts.ts'
import { silentProgress } from '../testbed/progress.ts'

const programs = fileURLToPath(new URL('../testbed/', import.meta.url))
// The parts are in the cache when the tests run by themselves; the first time of all they take minutes.
t.setTimeout(15 * 60_000)

t.test('the parts are there and run', async (t) => {
  const parts = await ensureParts({ progress: silentProgress })
  t.match((await mustRun(parts.envoy, ['--version'])).stdout, parts.envoyVersion)
  t.match((await mustRun(parts.pilotAgent, ['version', '--short'])).stdout, parts.istioVersion)
  t.match((await mustRun(parts.istiod, ['version', '--short'])).stdout, parts.istioVersion)
  t.match((await mustRun(parts.istioctl, ['version', '--remote=false'])).stdout, parts.istioVersion)
  t.match(await readFile(parts.bootstrapTemplate, 'utf8'), '"static_resources"')
})

t.test('the sidecar is packed the same way each time', async (t) => {
  const parts = await ensureParts({ progress: silentProgress })
  const kept = await bakeSidecar({ parts })
  // Not tap's folder: it is one for all runs of this file, and two may run at once.
  const dir = await mkdtemp(join(tmpdir(), 'mooring-bake-'))
  t.teardown(() => rm(dir, { recursive: true }))
  const again = await bakeSidecar({ parts, dir })
  t.equal(again.sha256, kept.sha256)
  t.equal((await stat(kept.path)).size, kept.size)
  t.match((await mustRun('sha256sum', [kept.path])).stdout, kept.sha256)
  const listing = (await mustRun('tar', ['--numeric-owner', '-tvzf', kept.path])).stdout.trim().split('\n')
  t.same(
    listing.map((line) => line.replace(/^(\S+) (\S+) .* (\S+)$/, '$1 $2 $3')),
    [
      '-rwxr-xr-x 0/0 bin/envoy',
      '-rwxr-xr-x 0/0 bin/pilot-agent',
      '-rw-r--r-- 0/0 envoy_bootstrap_tmpl.json',
    ],
  )
})

t.test('VMs reach each other, the host, and not what they have no card for', async (t) => {
  const network = await open(t, 'reach')
  const [a, b] = await Promise.all([
    network.addVm('a'),
    network.addVm('b', { extraNics: [{ bridge: 'brs' }] }),
  ])
  const c = await network.addVm('c', { extraNics: [{ bridge: 'brs' }], index: 40 })
  t.same([a.address, b.address].toSorted(), ['10.77.0.10', '10.77.0.11'])
  t.same(
    c.nics.map(({ name, address, address6 }) => [name, address, address6]),
    [
      ['eth0', '10.77.0.50', 'fd77::50'],
      ['eth1', '10.79.0.50', 'fd79::50'],
    ],
  )
  const serve = async (where: Pick<Vm, 'spawn'>, name: string) =>
    started(where.spawn(process.execPath, [`${programs}apps/app-server.ts`, '--name', name, '--bind', '::']))
  await Promise.all([serve(b, 'b'), serve(c, 'c'), serve(network.host, 'host')])

  t.equal(await whoAnswers(a, `http://${b.address}:8080/`), 'b')
  t.equal(await whoAnswers(a, `http://[${c.address6}]:8080/`), 'c')
  t.equal(await whoAnswers(a, `http://${network.hostAddress}:8080/`), 'host')
  t.equal(await whoAnswers(a, `http://[${network.hostAddress6}]:8080/`), 'host')
  t.equal(
    await whoAnswers(a, 'http://istiod.istio-system.svc:8080/'),
    'host',
    'by its name in the hosts file',
  )
  t.equal(await whoAnswers(b, `http://${c.nics[1]?.address}:8080/`), 'c', 'over the second network')
  t.equal(await whoAnswers(a, `http://${c.nics[1]?.address}:8080/`, 1_500), undefined, 'no card, no way')
  t.equal(await whoAnswers(a, `http://${network.uplink.outside}:8080/`, 1_500), undefined, 'no way out')
  const fromHere = await fetch(`http://${network.uplink.inside}:8080/`)
  t.match(await fromHere.json(), { instance: 'host' }, 'tests reach the host')

  await t.rejects(network.addVm('a'), { code: 'ADDRESS_IN_USE' })
  await t.rejects(network.addVm('d', { address: b.address }), { code: 'ADDRESS_IN_USE' })
})

t.test('a VM has files, traffic rules and processes of its own, under any user', async (t) => {
  const network = await open(t, 'own')
  const [vm, other] = await Promise.all([network.addVm('vm'), network.addVm('other')])
  const asSidecar = await vm.exec('sh', ['-c', 'id -u; id -g; pwd; cat /etc/hosts'], {
    uid: 1337,
    gid: 1337,
    cwd: vm.root,
  })
  t.match(asSidecar.stdout, `1337\n1337\n${vm.root}\n127.0.0.1 localhost`)
  t.match(asSidecar.stdout, '10.77.0.1 istiod.istio-system.svc')
  t.notMatch(await readFile('/etc/hosts', 'utf8'), 'istiod.istio-system.svc', 'of no concern to the machine')

  const redirect = [
    '-t',
    'nat',
    '-A',
    'OUTPUT',
    '-p',
    'tcp',
    '--dport',
    '9999',
    '-j',
    'REDIRECT',
    '--to-ports',
    '8080',
  ]
  for (const iptables of ['iptables', 'ip6tables'])
    t.equal((await vm.exec(iptables, redirect)).code, 0, iptables)
  await started(vm.spawn(process.execPath, [`${programs}apps/app-server.ts`, '--name', 'vm']))
  t.equal(await whoAnswers(vm, 'http://127.0.0.1:9999/'), 'vm', 'redirected')
  t.notMatch((await other.exec('iptables', ['-t', 'nat', '-S'])).stdout, '9999')
  t.notMatch((await runCommand('iptables-save', [])).stdout, '9999')

  t.same(await other.pids(), [])
  const child = other.spawn('sh', ['-c', 'trap "" TERM; echo up; while :; do sleep 1; done'])
  await firstLine(child)
  t.ok((await other.pids()).includes(child.pid ?? 0), 'its pid is the program, not a wrapper')
  await other.endAll(100)
  t.same(await other.pids(), [], 'also one that ignores SIGTERM')

  await t.rejects(other.exec('sleep', ['1000'], { timeoutMs: 200 }), { code: 'COMMAND_TIMED_OUT' })
  t.same(await other.pids(), [])
})

t.test('a power cut is silent, and a replacement takes the address at once', async (t) => {
  const network = await open(t, 'cut')
  const client = await network.addVm('client')
  const first = await network.addVm('first')
  await started(first.spawn(process.execPath, [`${programs}apps/app-server.ts`, '--name', 'first']))
  const url = `http://${first.address}:8080/`
  t.equal(await whoAnswers(client, url), 'first')

  await first.linkDown()
  t.equal(await whoAnswers(client, url, 1_500), undefined)
  t.ok((await first.pids()).length > 0, 'its processes know nothing of it')
  await first.linkUp()
  t.equal(await eventually(() => whoAnswers(client, url)), 'first')

  await first.cutPower()
  t.same(await first.pids(), [])
  const second = await network.addVm('second', { address: first.address })
  await started(second.spawn(process.execPath, [`${programs}apps/app-server.ts`, '--name', 'second']))
  // The client still knows the hardware address of the dead one, and would for a minute.
  t.equal(await whoAnswers(client, url), 'second', 'at the first try')
  const { root, path } = second
  await second.destroy()
  t.notOk(existsSync(root))
  t.notOk(existsSync(path))
  t.equal(network.vms.map((vm) => vm.name).join(), 'client,first')
})

t.test('load between VMs names who answers', async (t) => {
  const network = await open(t, 'load')
  const [a, b] = await Promise.all([network.addVm('a'), network.addVm('b')])
  await started(b.spawn(process.execPath, [`${programs}apps/app-server.ts`, '--name', 'b']))
  const ports = [
    '--http1',
    '8080',
    '--http2',
    '8081',
    '--grpc',
    '8081',
    '--tcp',
    '8082',
    '--download',
    '8080',
  ]
  const { stdout } = await a.exec(process.execPath, [
    `${programs}apps/load-client.ts`,
    ...['--host', b.address, ...ports, '--seconds', '1', '--grpc-ms', '200', '--download-seconds', '1'],
  ])
  const summary = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as LoadSummary
  t.equal(summary.failed, 0, JSON.stringify(summary.byProtocol))
  t.ok(summary.requests > 0)
  t.same(Object.keys(summary.instances), ['b'])
})

t.test('several networks live side by side, and closing one leaves the others alone', async (t) => {
  const networks = await Promise.all([open(t, 'one'), open(t, 'two'), open(t, 'three')])
  t.equal(new Set(networks.map((network) => network.uplink.inside)).size, 3)
  const [one, two] = networks as [Network, Network, Network]
  await Promise.all(networks.map((network) => network.addVm('a')))
  const sleeper = two.host.spawn('sleep', ['1000'])
  await one.close()
  await one.close()
  await t.rejects(one.addVm('late'), { code: 'NETWORK_CLOSED' })
  t.same(await leftOf(one), [])
  t.same(
    await eventually(async () => ((await two.host.pids()).includes(sleeper.pid ?? 0) ? 'alive' : undefined)),
    'alive',
  )
})

t.test('nothing is left of an owner that is killed', async (t) => {
  const owner = await startOwner(t)
  t.ok((await leftOf(owner)).length >= 5, 'there was something to leave')
  owner.child.kill('SIGKILL')
  t.same(await eventually(async () => ((await leftOf(owner)).length === 0 ? [] : undefined)), [])
  t.equal(
    await eventually(async () => (await identifyProcess(owner.sleeper)) === undefined || undefined),
    true,
  )
})

t.test('what is left when the reaper is killed too, the next one collects', async (t) => {
  const owner = await startOwner(t)
  const reaper = await reaperOf(owner.id)
  process.kill(reaper, 'SIGKILL')
  owner.child.kill('SIGKILL')
  await eventually(async () => (await identifyProcess(owner.child.pid ?? 0)) === undefined || undefined)
  // Another testbed that starts on this machine may be quicker to collect it, so who did is not asserted.
  const { stdout } = await mustRun(process.execPath, [`${programs}main.ts`, 'clean', '--json'])
  t.type(JSON.parse(stdout).collected, Array)
  t.same(await eventually(async () => ((await leftOf(owner)).length === 0 ? [] : undefined)), [])
  t.equal(await identifyProcess(owner.sleeper), undefined)
})

t.test('Ctrl-C takes away what `npm run testbed` made', async (t) => {
  const child = spawn(process.execPath, [`${programs}main.ts`, 'up', '--json', '--vms', '1'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, XDG_CACHE_HOME: process.env.XDG_CACHE_HOME },
  })
  t.teardown(() => child.kill('SIGKILL'))
  const { id, tempDir, vms } = JSON.parse(await firstLine(child))
  t.equal(vms[0].address, '10.77.0.10')
  t.ok((await leftOf({ id, tempDir })).length > 0)
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGINT')
  t.equal(await ended, 0)
  t.same(await leftOf({ id, tempDir }), [])
})

async function open(t: Test, name: string): Promise<Network> {
  const network = await createNetwork({ name })
  t.teardown(() => network.close())
  return network
}

interface Owner {
  readonly child: ChildProcess
  readonly id: string
  readonly tempDir: string
  readonly sleeper: number
}

/** A process that makes a network with a VM, in which something sleeps that does not care for SIGTERM. */
async function startOwner(t: Test): Promise<Owner> {
  const program = `
    const { createNetwork } = await import(${JSON.stringify(`${programs}network/network.ts`)})
    const network = await createNetwork({ name: 'doomed' })
    const vm = await network.addVm('vm', { extraNics: [{ bridge: 'brs' }] })
    await vm.exec('iptables', ['-t', 'nat', '-A', 'OUTPUT', '-p', 'tcp', '--dport', '9999', '-j', 'REDIRECT'])
    const sleeper = vm.spawn('sh', ['-c', 'trap "" TERM; echo up; while :; do sleep 1; done'])
    await new Promise((resolve) => sleeper.stdout.once('data', resolve))
    console.log(JSON.stringify({ id: network.id, tempDir: network.tempDir, sleeper: sleeper.pid }))
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH },
  })
  t.teardown(() => child.kill('SIGKILL'))
  return { child, ...JSON.parse(await firstLine(child)) }
}

/** Everything on this machine that belongs to an instance. */
async function leftOf({ id, tempDir }: { id: string; tempDir: string }): Promise<readonly string[]> {
  const namespaces = await readdir('/run/netns').catch(() => [])
  const links = await readdir('/sys/class/net')
  return [
    ...namespaces.filter((name) => name.includes(id)),
    ...links.filter((name) => name.startsWith('mup') && name.endsWith(id.slice(-6))),
    ...(existsSync(tempDir) ? [tempDir] : []),
    ...(await listInstances()).filter((instance) => instance.id === id).map((instance) => instance.id),
    ...(await processesOf(id)),
  ]
}

/** Processes with the instance's id on their command line: the reaper, and what runs in its namespaces by path. */
async function processesOf(id: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(
    pids.map(async (pid) => ({ pid, line: await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') })),
  )
  return lines.filter(({ line }) => line.includes(id)).map(({ pid }) => pid)
}

async function reaperOf(id: string): Promise<number> {
  for (const pid of await processesOf(id))
    if ((await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes('reaper.ts'))
      return Number(pid)
  throw new Error(`no reaper of ${id}`)
}

async function started(child: ChildProcess): Promise<void> {
  child.stderr?.pipe(process.stderr)
  await firstLine(child)
}

function firstLine(child: ChildProcess): Promise<string> {
  const { stdout } = child
  if (stdout === null) throw new Error('its output is not piped')
  return new Promise((resolve, reject) => {
    createInterface({ input: stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`it ended with ${code} before it said anything`)))
  })
}

/** Which instance answers a GET made inside a VM; `undefined` when none does. */
async function whoAnswers(vm: Vm, url: string, limitMs = 15_000): Promise<string | undefined> {
  const program = `
    process.once('uncaughtException', () => process.exit(1))
    const answer = await fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(${limitMs}) })
    console.log((await answer.json()).instance)
    process.exit(0)`
  const { stdout, code } = await vm.exec(process.execPath, ['--input-type=module', '-e', program])
  return code === 0 ? stdout.trim() : undefined
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T | undefined> {
  const end = performance.now() + 60_000
  while (performance.now() < end) {
    const found = await look()
    if (found !== undefined) return found
    await sleep(50)
  }
  return undefined
}
