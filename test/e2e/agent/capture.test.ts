import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { type AppliedFile, createAppliedFile } from '../../../agent/capture/applied.ts'
import { createIptables } from '../../../agent/capture/iptables.ts'
import { createRedirect, type Redirect } from '../../../agent/capture/redirect.ts'
import { captureRules } from '../../../agent/capture/rules.ts'
import type { Exec } from '../../../agent/host/exec.ts'
import type { Bundle } from '../../../shared/api/bundle.ts'
import { isMooringError } from '../../../shared/errors.ts'
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
const network = await createNetwork({ name: 'capture' })
t.teardown(() => network.close())
const { signal } = new AbortController()
const golden = fileURLToPath(new URL('../../golden/capture/', import.meta.url))
const facts = { controllerAddresses: ['10.77.0.1', 'fd77::1'], nameservers: ['10.77.0.53'], ipv6: true }

/** What the two families hold, without counters, and without tables and chains that every machine may have. */
async function rulesIn(vm: Vm): Promise<string> {
  const sections: string[] = []
  for (const program of ['iptables-nft-save', 'ip6tables-nft-save']) {
    const { stdout } = await vm.exec(program)
    sections.push(`# ${program}`)
    for (const table of stdout.split(/^(?=\*)/m)) {
      const lines = table.split('\n').filter((line) => /^(\*|-A|:ISTIO)/.test(line))
      if (lines.length > 1) sections.push(...lines.map((line) => line.replace(/ \[\d+:\d+\]/, '')))
    }
  }
  return `${sections.join('\n')}\n`
}

function redirectIn(vm: Vm): { redirect: Redirect; appliedFile: AppliedFile } {
  const exec: Exec = async (command, args, options) => {
    const { code, stdout, stderr } = await vm.exec(command, args, {
      env: options.env,
      timeoutMs: options.timeoutMs,
      ...(options.input !== undefined && { input: options.input }),
    })
    return { code, signal: null, stdout, stderr, timedOut: false }
  }
  const appliedFile = createAppliedFile(join(vm.root, 'capture.json'))
  return { redirect: createRedirect({ iptables: createIptables({ exec }), appliedFile }), appliedFile }
}

async function freshVm(name: string): Promise<Vm> {
  const vm = await network.addVm(name)
  await writeFile(join(vm.root, 'etc/resolv.conf'), 'nameserver 10.77.0.53\n')
  return vm
}

const cases: Record<string, (bundle: Bundle) => void> = {
  default: () => {},
  'no-dns': (bundle) => {
    bundle.capture.dns = false
  },
  exclusions: (bundle) => {
    bundle.capture.excludeInboundPorts = [9100]
    bundle.capture.excludeOutboundPorts = [5432, 123]
    bundle.capture.excludeOutboundCidrs = ['192.0.2.0/24', '2001:db8::/32']
    bundle.capture.excludeInterfaces = ['eth1']
  },
  'dual-stack': (bundle) => {
    bundle.mesh.environment.ISTIO_DUAL_STACK = 'true'
  },
}

for (const [name, change] of Object.entries(cases)) {
  t.test(`the rules of case ${name} are those of its golden file, and go again`, async (t) => {
    const vm = await freshVm(name)
    const { redirect } = redirectIn(vm)
    const untouched = await rulesIn(vm)
    const rules = captureRules(await bundleFor(vm, { baked, app: 'web', change }), facts)
    await redirect.apply(parts.pilotAgent, rules, signal)
    const made = await rulesIn(vm)
    const file = join(golden, `${name}.golden`)
    if (process.env.UPDATE_GOLDEN === '1') await writeFile(file, made)
    t.equal(made, await readFile(file, 'utf8'))
    t.ok(await redirect.verify(rules, signal))
    await redirect.apply(parts.pilotAgent, rules, signal)
    t.equal(await rulesIn(vm), made, 'applying again changes nothing')
    await redirect.undo(parts.pilotAgent, signal)
    t.equal((await rulesIn(vm)).match(/^-A.*$/m), null, 'no rule is left')
    t.notMatch(await rulesIn(vm), 'ISTIO')
    t.equal(untouched.match(/^-A.*$/m), null)
    await redirect.undo(parts.pilotAgent, signal)
    t.notOk(await redirect.verify(rules, signal))
    await vm.destroy()
  })
}

t.test('what others do to the rules is seen and mended, and theirs are left alone', async (t) => {
  const vm = await freshVm('mended')
  const theirs = (verb: '-A' | '-D', port: number) =>
    vm.exec('iptables-nft', `-t nat ${verb} PREROUTING -p tcp --dport ${port} -j ACCEPT`.split(' '))
  const { redirect, appliedFile } = redirectIn(vm)
  const rules = captureRules(await bundleFor(vm, { baked, app: 'web' }), facts)
  await theirs('-A', 81)
  await redirect.apply(parts.pilotAgent, rules, signal)
  const made = await rulesIn(vm)

  await theirs('-A', 82)
  t.ok(await redirect.verify(rules, signal), "others' rules do not count")
  await theirs('-D', 82)

  const harm: readonly (readonly string[])[] = [
    ['-t', 'nat', '-F', 'ISTIO_INBOUND'],
    ['-t', 'nat', '-D', 'PREROUTING', '-p', 'tcp', '-j', 'ISTIO_INBOUND'],
    ['-t', 'nat', '-F', 'OUTPUT'],
    ['-t', 'raw', '-F'],
    ['-t', 'nat', '-I', 'ISTIO_OUTPUT', '-j', 'RETURN'],
  ]
  for (const args of harm) {
    await vm.exec('iptables-nft', args)
    t.notOk(await redirect.verify(rules, signal), `seen: iptables ${args.join(' ')}`)
    await redirect.apply(parts.pilotAgent, rules, signal)
    t.ok(await redirect.verify(rules, signal), `mended: iptables ${args.join(' ')}`)
  }
  await vm.exec('iptables-nft', ['-t', 'nat', '-F'])
  await theirs('-A', 81)
  await redirect.apply(parts.pilotAgent, rules, signal)
  t.same(sorted(await rulesIn(vm)), sorted(made), 'a flush of everything too')

  await appliedFile.remove()
  await redirect.undo('/nowhere/pilot-agent', signal)
  t.match((await rulesIn(vm)).match(/^-A.*$/gm), ['-A PREROUTING -p tcp -m tcp --dport 81 -j ACCEPT'])
})

t.test('other rules take the place of the old ones, and none of those stays', async (t) => {
  const vm = await freshVm('changed')
  const { redirect } = redirectIn(vm)
  const old = captureRules(
    await bundleFor(vm, { baked, app: 'web', change: cases.exclusions as () => void }),
    facts,
  )
  const plain = await bundleFor(vm, { baked, app: 'web', change: cases['no-dns'] as () => void })
  await redirect.apply(parts.pilotAgent, old, signal)
  await redirect.apply(parts.pilotAgent, captureRules(plain, facts), signal)
  t.equal(await withoutChains(vm), keepRules(await readFile(join(golden, 'no-dns.golden'), 'utf8')))
})

t.test('other name servers are captured instead of the old ones', async (t) => {
  const vm = await freshVm('renamed')
  const { redirect } = redirectIn(vm)
  const bundle = await bundleFor(vm, { baked, app: 'web' })
  await redirect.apply(parts.pilotAgent, captureRules(bundle, facts), signal)
  await writeFile(join(vm.root, 'etc/resolv.conf'), 'nameserver 10.77.0.54\n')
  const now = captureRules(bundle, { ...facts, nameservers: ['10.77.0.54'] })
  t.notOk(await redirect.verify(now, signal))
  await redirect.apply(parts.pilotAgent, now, signal)
  t.match(await rulesIn(vm), '-d 10.77.0.54/32 -p udp')
  t.notMatch(await rulesIn(vm), '10.77.0.53')
})

t.test('connections that are older than the capture go on', async (t) => {
  const vm = await freshVm('older')
  const { redirect } = redirectIn(vm)
  // It speaks first, as istiod does on the sidecar's stream: the VM's kernel has tracked nothing of it.
  const ticker = `require('node:net').createServer((s) => { s.on('error', () => {}); s.on('data', (d) => s.write(d)); setInterval(() => s.write('tick '), 50) }).listen(8099)`
  network.host.spawn(process.execPath, ['-e', ticker], { stdio: 'ignore' })
  vm.spawn(process.execPath, ['-e', ticker], { stdio: 'ignore' })
  const listening = (address: string) =>
    until(
      async () => (await network.host.exec('curl', ['-s', '-m', '1', `telnet://${address}:8099`])).code !== 7,
    )
  await listening('127.0.0.1')
  await listening(vm.address)
  const caller = (address: string) => `
    const s = require('node:net').connect(8099, '${address}'); let n = 0
    s.on('data', () => console.log('ticks', ++n)); for (const e of ['error', 'end']) s.on(e, () => console.log('over'))`
  const calls = [
    vm.spawn(process.execPath, ['-e', caller(network.hostAddress)]),
    network.host.spawn(process.execPath, ['-e', caller(vm.address)]),
  ].map((child) => {
    let said = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    return () => ({ ticks: said.split('ticks').length - 1, over: said.includes('over') })
  })
  for (const call of calls) await until(async () => call().ticks > 2)
  const rules = captureRules(await bundleFor(vm, { baked, app: 'web' }), {
    ...facts,
    controllerAddresses: [],
  })
  await redirect.apply(parts.pilotAgent, rules, signal)
  for (const call of calls) {
    const before = call().ticks
    await until(async () => call().over || call().ticks > before + 10)
    t.equal(call().over, false)
  }
  const fresh = await vm.exec('curl', ['-s', '-m', '20', `telnet://${network.hostAddress}:8099`])
  t.equal(fresh.code, 7, 'new ones are captured: nothing listens on 15001 here')
})

t.test('what istio-iptables says is in the error', async (t) => {
  const vm = await freshVm('refused')
  const { redirect } = redirectIn(vm)
  const broken = { apply: ['istio-iptables', '-i', 'no-address'], cleanup: [], basis: '' }
  await t.rejects(redirect.apply(parts.pilotAgent, broken, signal), {
    code: 'CAPTURE_FAILED',
    detail: /no-address/,
  })
  await t.rejects(
    redirect.apply('/nowhere/pilot-agent', broken, signal).catch((error) => {
      t.ok(isMooringError(error, 'CAPTURE_FAILED'))
      throw error
    }),
  )
})

/**
 * A fake of Istio's program that is ended while it mends rules, which the real one cannot be on demand: its guardrails are
 * up, and nobody takes them down.
 */
const endedHalfWay = `#!/bin/sh
for program in iptables-nft ip6tables-nft; do
  for chain in INPUT FORWARD OUTPUT; do
    for protocol in tcp udp; do $program -t filter -I $chain 1 -p $protocol -j DROP; done
  done
done
exit 137
`

t.test('a run of istio-iptables that is ended half-way does not cut the VM off', async (t) => {
  const vm = await freshVm('halfway')
  const program = join(vm.root, 'half-way')
  await writeFile(program, endedHalfWay, { mode: 0o755 })
  const rules = captureRules(await bundleFor(vm, { baked, app: 'web', change() {} }), facts)
  const drops = async () => (await rulesIn(vm)).match(/^-A (INPUT|FORWARD|OUTPUT) -p (tcp|udp) -j DROP$/gm)
  await vm.exec('iptables-nft', ['-A', 'FORWARD', '-p', 'udp', '-j', 'DROP'])
  const theirs = await drops()
  t.equal(theirs?.length, 1, 'a rule of somebody else that looks the same')

  const { redirect, appliedFile } = redirectIn(vm)
  await t.rejects(redirect.apply(program, rules, signal), { code: 'CAPTURE_FAILED' })
  t.same(await drops(), theirs, 'the agent that ran it takes them away')

  t.match(await appliedFile.read(), { digest: '' }, 'what it was about to do is written down')
  await vm.exec(program)
  t.equal((await drops())?.length, 13)
  await redirectIn(vm).redirect.apply(parts.pilotAgent, rules, signal)
  // Istio's own whole run takes with it whatever looks like its guardrails: theirs goes here, as without Mooring.
  t.equal(await drops(), null, 'and so does the next, when that one was ended too')
  t.ok(await redirect.verify(rules, signal))

  await t.rejects(redirect.apply(program, rules, signal), { code: 'CAPTURE_FAILED' })
  await vm.exec(program)
  await redirectIn(vm).redirect.undo(parts.pilotAgent, signal)
  t.equal(await drops(), null, 'and so does an undo')
  await vm.destroy()
})

t.test('a sidecar that is down for good does not cut its VM off', async (t) => {
  const istiod = await startIstiod(network, parts)
  const vm = await freshVm('watched')
  await istiod.apply(poolObjects('web', 'web.mesh', [vm]))
  network.host.spawn(process.execPath, [
    '-e',
    "require('node:http').createServer((q, r) => r.end('out')).listen(8088)",
  ])
  const outside = async () =>
    (await vm.exec('curl', ['-s', '-m', '20', `http://${network.hostAddress}:8088/`])).stdout
  const bundle = await bundleFor(vm, { istiod, baked, app: 'web' })
  const driver = await startDriver(vm, baked.path)
  await driver.call('converge', { bundle })
  // The driver excludes the controller's address; another one on the same machine is not excluded.
  await until(async () => (await outside()) === 'out')

  const folder = join(stateOf(vm), 'sidecar/versions', `${baked.version}-${baked.sha256.slice(0, 12)}/bin`)
  await rename(join(folder, 'envoy'), join(folder, 'away'))
  const since = driver.events.length
  process.kill((await driver.call('state')).pid, 'SIGKILL')
  await driver.event((e) => e.event === 'watchdog' && e.opened === true, since)
  t.notMatch(await rulesIn(vm), 'ISTIO', 'traffic goes past the sidecar')
  t.equal(await outside(), 'out')
  // Starting goes on, so it may run at this very moment, but not well.
  t.match(await driver.call('health'), { health: 'unhealthy' })
  const state = await driver.call('state')
  t.equal(state.downForGood, true)
  t.match(state.lastExit.tail.join('\n'), /envoy/, 'the crash report says why')

  await rename(join(folder, 'away'), join(folder, 'envoy'))
  await until(async () => {
    await driver.call('converge', { bundle })
    return true
  })
  await driver.event((e) => e.event === 'watchdog' && e.opened === false, since)
  t.match(await rulesIn(vm), 'ISTIO_OUTPUT', 'and comes back')
  await until(async () => (await driver.call('health')).health === 'healthy')
})

function sorted(saved: string): readonly string[] {
  return saved.split('\n').toSorted()
}

function keepRules(saved: string): string {
  return saved
    .split('\n')
    .filter((line) => /^(-A|#)/.test(line))
    .join('\n')
}

async function withoutChains(vm: Vm): Promise<string> {
  return keepRules(await rulesIn(vm))
}
