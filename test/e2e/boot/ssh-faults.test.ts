import t, { type Test } from 'tap'
import type { InjectedVm, InjectionCreate, InjectionView } from '../../../shared/api/injection.ts'
import type { Container } from '../../testbed/machines/machine.ts'
import { run, viewOf } from './agent-image.ts'
import { createSshScene, knownHosts, snapshot } from './ssh-scene.ts'

t.test('what stands against an injection has a code, and the machine is left as it was', async (t) => {
  const scene = await createSshScene(t, 'ssh-faults')
  const { world } = scene
  const box = await scene.boot('box')
  const known = await knownHosts(box)
  const before = await snapshot(box)
  const targets = [{ host: box.address }]

  const fails = async (
    t: Test,
    code: string,
    request: Partial<InjectionCreate>,
    seen?: (view: InjectionView) => unknown,
  ): Promise<InjectedVm> => {
    const { vms } = await scene.inject({ targets, knownHosts: known, ...request }, seen)
    t.match(vms, [{ state: 'failed', code }], `${code}: ${JSON.stringify(vms)}`)
    t.same((await snapshot(box)).split('\n'), before.split('\n'), `${code}: the machine is as it was`)
    t.equal(await viewOf(world, box), undefined, 'nobody joined')
    return vms[0] as InjectedVm
  }

  await t.test('who is not let in', async (t) => {
    await fails(t, 'SSH_LOGIN_REFUSED', { credential: 'wrong' })
    await fails(t, 'SUDO_REFUSED', { credential: 'nobody' })
    await run(box, 'sh', '-c', 'echo "typist:something else" | chpasswd')
    await fails(t, 'SSH_LOGIN_REFUSED', { credential: 'typist' })
    await fails(t, 'SSH_UNREACHABLE', { targets: [{ host: box.address, port: 9 }] })
  })

  await t.test('a host that shows another key is told nothing', async (t) => {
    const other = known.replace(
      /AAAA\S+/,
      'AAAAC3NzaC1lZDI1NTE5AAAAIGq0Z5rR9f6x5dJvJ2m6o0p7w2n3bTz0c0r9f1v8u7s1',
    )
    await fails(t, 'SSH_HOST_KEY_CHANGED', { knownHosts: other })
    await fails(t, 'SSH_HOST_KEY_CHANGED', { knownHosts: known.replace(/ssh-ed25519 \S+/, ecdsa) })
    await fails(t, 'SSH_HOST_KEY_CHANGED', { knownHosts: `@revoked ${known}${known}` })
    const logins = await box.journal(['-u', 'ssh', '-o', 'cat'])
    t.notMatch(logins.split('\n').slice(-3).join('\n'), /Accepted/)
  })

  await t.test('systems that cannot carry an agent', async (t) => {
    const pretend = async (program: string, text: string, code: string) => {
      const path = `/usr/local/bin/${program}`
      await box.exec('tee', [path], { input: `#!/bin/sh\n${text}\n` })
      await run(box, 'chmod', '755', path)
      const { vms } = await scene.inject({ targets, knownHosts: known })
      await run(box, 'rm', path)
      t.match(vms, [{ state: 'failed', code }])
    }
    await pretend('uname', 'case $1 in -m) echo riscv64 ;; *) echo Linux ;; esac', 'PLATFORM_UNSUPPORTED')
    await pretend('uname', 'echo FreeBSD', 'PLATFORM_UNSUPPORTED')
    await run(box, 'mount', '--bind', '/mnt', '/run/systemd')
    await fails(t, 'SYSTEMD_MISSING', {})
    await run(box, 'umount', '/run/systemd')
  })

  await t.test('an agent that somebody else installed is not touched', async (t) => {
    await run(box, 'cp', '/bin/true', '/usr/bin/mooring-agent')
    for (const action of ['inject', 'remove'] as const) {
      const { vms } = await scene.inject({ targets, knownHosts: known, action })
      t.match(vms, [{ state: 'failed', code: 'AGENT_FOREIGN' }])
    }
    await run(box, 'cmp', '/bin/true', '/usr/bin/mooring-agent')
    await run(box, 'rm', '/usr/bin/mooring-agent')
    t.same((await snapshot(box)).split('\n'), before.split('\n'))
  })

  await t.test('a disk without room, and one that fills up meanwhile', async (t) => {
    const stage = '/var/lib/mooring-injection'
    const small = async (size: string) => {
      await run(box, 'mkdir', '-p', stage)
      await run(box, 'mount', '-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'small', stage)
    }
    const release = async () => {
      await run(box, 'umount', stage)
      await run(box, 'rmdir', stage)
    }
    await small('40m')
    const early = await scene.inject({ targets, knownHosts: known })
    await release()
    t.match(early.vms, [{ state: 'failed', code: 'DISK_FULL', undone: true }])

    await small('400m')
    let filled: Promise<unknown> | undefined
    const late = await scene.inject({ targets, knownHosts: known }, ({ vms }) => {
      const sent = vms[0]?.sent?.bytes ?? 0
      if (sent > 0) filled ??= run(box, 'sh', '-c', `head -c 400M /dev/zero >${stage}/full || :`)
    })
    await filled
    t.ok(filled !== undefined, 'it filled while files came')
    t.match(late.vms, [{ state: 'failed', code: 'DISK_FULL', detail: /No space left/, undone: true }])
    await release()
    t.same((await snapshot(box)).split('\n'), before.split('\n'))
  })

  await t.test('an agent that does not join is taken away again, and says why', async (t) => {
    await run(box, 'iptables', '-A', 'OUTPUT', '-p', 'tcp', '--dport', '8443', '-j', 'REJECT')
    const vm = await fails(t, 'INJECTION_NOT_JOINED', {})
    t.match(vm, { undone: true, detail: /CONTROLLER_UNREACHABLE|cannot be reached/ })
    await run(box, 'iptables', '-D', 'OUTPUT', '-p', 'tcp', '--dport', '8443', '-j', 'REJECT')
    const tokens = await world.operator.call<readonly { pool: string }[]>('GET', '/v1/tokens?pool=clients')
    t.same(tokens, [], 'its token is void')
  })

  await t.test('a connection that is cut goes on where it stopped', async (t) => {
    const bytes: number[] = []
    let cuts = 0
    let cutting: Promise<unknown> = Promise.resolve()
    const { vms } = await scene.inject({ targets, knownHosts: known }, ({ vms: [vm] }) => {
      if (vm?.step !== 'uploading' || vm.sent === undefined) return
      bytes.push(vm.sent.bytes)
      if (vm.sent.bytes > (cuts + 1) * 20e6 && cuts < 2 && vm.reconnects === cuts) {
        cuts += 1
        cutting = cut(box)
      }
    })
    await cutting
    t.match(vms, [{ state: 'done', phase: 'ready' }])
    t.ok((vms[0]?.reconnects ?? 0) >= 1, `cut ${cuts} times, connected anew ${vms[0]?.reconnects} times`)
    const back = bytes.filter((value, index) => value < (bytes[index - 1] ?? 0) - 16e6)
    t.same(back, [], 'what had arrived was not sent again')
    const { vms: gone } = await scene.inject({ targets, knownHosts: known, action: 'remove' })
    t.match(gone, [{ state: 'done', changed: true }])
    t.same((await snapshot(box)).split('\n'), before.split('\n'))
  })
})

const ecdsa =
  'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBDb0yPWaGFXRCKzFtQ3zJ0WgvQyr7Qe0uTq6z8hJc1dQyV0w0aZrX3sE9vR2k1bq0c3v5n7m9o1p3r5t7v9x1z3='

/** Ends the connections of sshd, as a firewall does that has forgotten them. */
async function cut(box: Container): Promise<void> {
  await box.exec('sh', [
    '-c',
    'for p in /proc/[0-9]*; do if tr "\\0" " " <$p/cmdline 2>/dev/null | grep -q "^sshd: root@notty"; then kill -9 $(basename $p); fi; done',
  ])
}
