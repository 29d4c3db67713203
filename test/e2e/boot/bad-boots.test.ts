import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { StatusView } from '../../../agent/commands/status.ts'
import { mustRun } from '../../testbed/command.ts'
import { ensureMachineParts } from '../../testbed/machines/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { call } from '../../world/call.ts'
import { tail } from '../../world/member.ts'
import { waitFor } from '../../world/waiting.ts'
import { createWorld, echo } from '../../world/world.ts'
import { agentSaid, createBox, isReady, lastWords, makeAgentImage, run, viewOf } from './agent-image.ts'

const name = 'controller.mesh.internal'
const dropIn = '/etc/mooring/agent.d/50-cloud-init.yaml'
const tokenFile = '/etc/mooring/cloud-init.token'

t.test('what goes wrong at a boot is said with a code, waited for, and mended', async (t) => {
  const { image: base } = await ensureMachineParts({ progress: silentProgress })
  const world = await createWorld({ name: 'bad', controller: { names: [name] } })
  t.teardown(() => world.close())
  const image = await makeAgentImage(world.network, base)
  const box = await createBox(world.network, 'box', image)
  const caller = await world.boot('caller', 'clients')

  const put = async (path: string, input: string, mode = '644') => {
    await run(box, 'install', '-D', '-m', mode, '/dev/null', path)
    await box.exec('tee', [path], { input })
  }
  const configure = async (pin: string) => {
    const controller = { url: `https://${name}:8443`, pin }
    await put(dropIn, JSON.stringify({ controller, pool: 'servers', join: { tokenFile } }))
  }
  const giveToken = async () =>
    put(tokenFile, `${(await world.operator.createToken('servers')).token}\n`, '600')
  const property = (what: string) =>
    run(box, 'systemctl', 'show', '--value', `--property=${what}`, 'mooring-agent')
  /** Waits until the agent's status says why it does not serve. */
  const says = (reason: string, words: RegExp) =>
    waitFor(
      async () => {
        const { code, stdout } = await box.exec('mooring-agent', ['status', '--json'])
        if (code !== 0) return false
        const { conditions } = JSON.parse(stdout) as StatusView
        return conditions.find((one) => one.reason === reason && words.test(one.message))
      },
      { what: `the agent to say ${reason}`, limitMs: 150_000, onTimeout: () => lastWords(box) },
    )
  const killAgent = async () => {
    const before = await property('MainPID')
    await run(box, 'systemctl', 'kill', '--kill-whom=main', '--signal=SIGKILL', 'mooring-agent')
    await waitFor(async () => !['0', before].includes(await property('MainPID')), {
      what: 'systemd to start it again',
    })
  }
  let id = ''

  await t.test('no controller is configured: it waits, and says so once', async (t) => {
    await box.powerOn()
    t.equal(await box.booted(), 'running', await lastWords(box))
    const status = await waitFor(async () => (await property('StatusText')) || undefined, {
      what: 'a status',
    })
    t.equal(status, 'waiting: No controller is configured (NOT_CONFIGURED)')
    const asked = await box.exec('mooring-agent', ['status'])
    t.equal(asked.code, 2)
    t.match(asked.stderr, /NOT_CONFIGURED[\s\S]*fix:.*agent\.d/)
    const pid = await property('MainPID')
    await giveToken()
    await configure(`sha256:${'0'.repeat(64)}`)
    await says('CONTROLLER_UNREACHABLE', new RegExp(name))
    t.equal(await property('MainPID'), pid, 'it went on by itself when there was one')
    t.equal((await agentSaid(box)).split('the agent cannot start yet').length - 1, 1)
  })

  await t.test('no name is resolved: it tries on', async (t) => {
    await says('CONTROLLER_UNREACHABLE', new RegExp(name))
    t.equal(await viewOf(world, box), undefined)
    await run(box, 'sh', '-c', `echo ${world.network.hostAddress} ${name} >>/etc/hosts`)
  })

  await t.test('the controller is not the one it trusts: it joins nothing', async (t) => {
    await says('CONTROLLER_UNTRUSTED', /no key of its \d certificates has the pin/)
    t.equal(await viewOf(world, box), undefined)
    await configure(world.controller.pin)
    await run(box, 'systemctl', 'restart', 'mooring-agent')
    id = (await isReady(world, box)).id
  })

  await t.test('a second copy of the agent ends', async (t) => {
    // In a container the kernel seems to be another one to a unit that may not touch its tunables.
    const second = await box.exec('systemd-run', [
      ...['--wait', '--pipe', '--quiet', '--property=ProtectKernelTunables=yes', 'mooring-agent', 'run'],
    ])
    t.equal(second.code, 4)
    t.match(second.stderr, 'ALREADY_RUNNING')
    t.equal((await viewOf(world, box))?.phase, 'ready')
  })

  await t.test('a state file of a former version is taken over', async (t) => {
    const state = '/var/lib/mooring/state.json'
    const { machine, ...former } = JSON.parse(await run(box, 'cat', state))
    t.match(machine, { instanceId: 'box' })
    await box.exec('tee', [state], { input: JSON.stringify(former) })
    await killAgent()
    await waitFor(async () => JSON.parse(await run(box, 'cat', state)).machine !== undefined, {
      what: 'the state to be of this machine',
    })
    t.equal((await isReady(world, box)).id, id)
  })

  await t.test('its folder is read-only: it waits until it is not', async (t) => {
    await run(box, 'mount', '--bind', '/var/lib/mooring', '/var/lib/mooring')
    await run(box, 'mount', '-o', 'remount,bind,ro', '/var/lib/mooring')
    await killAgent()
    await waitFor(async () => (await agentSaid(box)).includes('STATE_UNWRITABLE'), {
      what: 'it to say so',
      onTimeout: () => lastWords(box),
    })
    t.match(await property('StatusText'), /^waiting: .*STATE_UNWRITABLE/)
    t.match(await agentSaid(box), '/var/lib/mooring: the file system is read-only')
    t.equal((await viewOf(world, box))?.id, id)
    await run(box, 'umount', '/var/lib/mooring')
    // It sees the mounts of when it started.
    await run(box, 'systemctl', 'restart', 'mooring-agent')
    t.equal((await isReady(world, box)).id, id)
  })

  await t.test('no network at boot, and a port of the sidecar is taken', async (t) => {
    const squatter = `[Unit]
Before=mooring-agent.service
[Service]
ExecStart=python3 -m http.server --directory /srv 15001
[Install]
WantedBy=multi-user.target
`
    await put('/etc/systemd/system/squatter.service', squatter)
    await run(box, 'systemctl', 'enable', 'squatter')
    const patience =
      '[Service]\nExecStart=\nExecStart=/lib/systemd/systemd-networkd-wait-online --timeout=5\n'
    await put('/etc/systemd/system/systemd-networkd-wait-online.service.d/short.conf', patience)
    await box.powerOff()
    await box.powerOn()
    await box.linkDown()
    await box.booted()
    await says('CONTROLLER_UNREACHABLE', new RegExp(name))
    await box.linkUp()
    await says('PORT_IN_USE', /^15001 by /)
    await run(box, 'systemctl', 'disable', '--now', 'squatter')
    t.equal((await isReady(world, box)).id, id)
  })

  await t.test('nftables alone: the sidecar’s own rules for them are used', async (t) => {
    const programs =
      'rm /usr/sbin/iptables* /usr/sbin/ip6tables* /usr/sbin/xtables* /usr/sbin/arptables* /usr/sbin/ebtables*'
    await run(box, 'sh', '-c', `${programs} && ! command -v iptables`)
    await box.reboot()
    t.equal((await isReady(world, box)).id, id)
    const rules = await run(box, 'nft', '--stateless', 'list', 'table', 'inet', 'istio-proxy-nat')
    t.match(rules, /tcp flags .*syn.* return comment "mooring-older"[\s\S]*jump istio-inbound/)
    const answer = await waitFor(
      async () => {
        const { status } = await call(caller.vm, `http://${echo.host}:${echo.http}/`)
        return status === 200 && status
      },
      { what: 'a peer to get an answer', onTimeout: () => lastWords(box) },
    )
    t.equal(answer, 200)
    t.match(await run(box, 'mooring-agent', 'doctor', '--json'), 'nftables can be read')
    await run(box, 'nft', 'flush', 'table', 'inet', 'istio-proxy-nat')
    await waitFor(
      async () =>
        (await run(box, 'nft', 'list', 'table', 'inet', 'istio-proxy-nat')).includes('jump istio-inbound'),
      { what: 'rules that somebody took away to be back' },
    )
    await run(box, 'mooring-agent', 'leave')
    t.notMatch(await run(box, 'nft', 'list', 'tables'), 'istio')
    await run(box, 'mooring-agent', 'join')
    t.equal((await isReady(world, box)).id, id)
  })

  await t.test('an image that was sealed wrongly: the identity is dropped, and missed', async (t) => {
    await run(box, 'rm', tokenFile)
    const metaData = '/var/lib/cloud/seed/nocloud/meta-data'
    const text = await run(box, 'cat', metaData)
    await box.exec('tee', [metaData], {
      input: text.replace('"instance-id": "box"', '"instance-id": "copy"'),
    })
    await box.reboot()
    await says('MACHINE_CHANGED', /instance-id is copy, and was box; join\.tokenFile: there is no file/)
    await giveToken()
    await run(box, 'systemctl', 'restart', 'mooring-agent')
    t.not((await isReady(world, box)).id, id)
    t.equal((await world.operator.vm(id)).phase, 'left', 'the former one had left at the shutdown')
  })

  await t.test('the clock is years behind, until time is set', async (t) => {
    const library = (await mustRun('sh', ['-c', 'ls /usr/lib/*/faketime/libfaketime.so.1'])).stdout.trim()
    const member = await world.prepare('early', 'clients')
    const time = join(member.vm.root, 'time')
    await writeFile(time, '-1500d')
    await member.startAgent({
      env: {
        LD_PRELOAD: library,
        FAKETIME_TIMESTAMP_FILE: time,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      },
    })
    await waitFor(async () => (await tail(member.agentLog)).includes('CLOCK_WRONG'), {
      what: 'it to say so',
      onTimeout: () => tail(member.agentLog),
    })
    t.match(await tail(member.agentLog), 'is not valid yet by the clock of this VM')
    await writeFile(time, '+0')
    t.equal((await member.waitPhase('ready')).phase, 'ready')
  })
})
