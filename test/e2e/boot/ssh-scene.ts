import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import ssh2 from 'ssh2'
import type { Test } from 'tap'
import type { InjectionCreate, InjectionView } from '../../../shared/api/injection.ts'
import { mustRun } from '../../testbed/command.ts'
import { createContainer } from '../../testbed/machines/container.ts'
import type { Container } from '../../testbed/machines/machine.ts'
import { ensureMachineParts } from '../../testbed/machines/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { agentExecutable } from '../../world/agent-executable.ts'
import { waitFor } from '../../world/waiting.ts'
import { createWorld, type World } from '../../world/world.ts'
import { run } from './agent-image.ts'

const packaging = resolve(import.meta.dirname, '../../../packaging')
const arch = process.arch === 'arm64' ? 'arm64' : 'amd64'
const password = 'correct horse battery staple'

/** A controller that may log in to machines which know nothing of it, by a real sshd. */
export interface SshScene {
  readonly world: World
  readonly dir: string
  /** Boots a Debian with sshd, sudo and the accounts of the credentials. */
  boot(name: string): Promise<Container>
  /** Asks for it over the interface and waits for its end; `seen` is shown every state on the way. */
  inject(request: Partial<InjectionCreate>, seen?: (view: InjectionView) => unknown): Promise<InjectionView>
}

/** What no VM, log or list of processes may show. */
export const secrets = { password } as const

/** Builds the scene: a world with both pools, and credentials for the accounts of `boot`. */
export async function createSshScene(t: Test, name: string): Promise<SshScene> {
  const { image } = await ensureMachineParts({ progress: silentProgress })
  const dir = await mkdtemp(join(tmpdir(), 'mooring-ssh-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const files = join(dir, 'agent')
  await mkdir(files)
  await symlink(agentExecutable, join(files, `mooring-agent-linux-${arch}`))
  await symlink(join(packaging, 'systemd'), join(files, 'systemd'))
  const [good, wrong] = ['good', 'wrong'].map(() => ssh2.utils.generateKeyPairSync('ed25519'))
  await writeFile(join(dir, 'good'), good?.private ?? '', { mode: 0o600 })
  await writeFile(join(dir, 'wrong'), wrong?.private ?? '', { mode: 0o600 })
  await writeFile(join(dir, 'password'), `${password}\n`, { mode: 0o600 })
  const sudo = join(dir, 'debs')
  await mkdir(sudo)
  await mustRun('sh', ['-c', 'cd "$1" && chmod 777 . && apt-get download --quiet sudo', 'sh', sudo], {
    timeoutMs: 120_000,
  })

  const [key, pools] = [{ file: join(dir, 'good') }, ['*']]
  const world = await createWorld({
    name,
    controller: {
      injection: {
        files,
        reachSeconds: 5,
        joinSeconds: 60,
        credentials: [
          { name: 'root', user: 'root', privateKey: key, pools },
          { name: 'sudoer', user: 'sudoer', privateKey: key, pools },
          { name: 'typist', user: 'typist', password: { file: join(dir, 'password') }, pools },
          { name: 'nobody', user: 'nobody-much', privateKey: key, pools },
          { name: 'wrong', user: 'root', privateKey: { file: join(dir, 'wrong') }, pools },
          { name: 'other', user: 'root', privateKey: key, pools: ['servers'] },
        ],
      },
    },
  })
  t.teardown(() => world.close())

  return {
    world,
    dir,
    async boot(machine) {
      const shares = [{ from: sudo, at: '/debs' }]
      const box = await createContainer({ network: world.network, name: machine, image, shares })
      await box.powerOn()
      await box.booted()
      await run(box, 'sh', '-c', 'dpkg --force-confnew --install /debs/sudo_*.deb')
      const authorized = `${good?.public ?? ''}\n`
      for (const user of ['root', 'sudoer', 'typist', 'nobody-much']) {
        const home = user === 'root' ? '/root' : `/home/${user}`
        if (user !== 'root') await run(box, 'useradd', '--create-home', '--shell', '/bin/bash', user)
        await run(box, 'install', '-d', '-m', '700', '-o', user, '-g', user, `${home}/.ssh`)
        await box.exec('tee', [`${home}/.ssh/authorized_keys`], { input: authorized })
      }
      await box.exec('chpasswd', [], { input: `typist:${password}\n` })
      await box.exec('tee', ['/etc/sudoers.d/scene'], {
        input: 'sudoer ALL=(ALL) NOPASSWD: ALL\ntypist ALL=(ALL) ALL\n',
      })
      return box
    },
    async inject(request, seen = () => {}) {
      const { id } = await world.operator.call<InjectionView>('POST', '/v1/injections', {
        pool: 'clients',
        credential: 'root',
        ...request,
      })
      return waitFor(
        async () => {
          const view = await world.operator.call<InjectionView>('GET', `/v1/injections/${id}`)
          await seen(view)
          return view.finishedAt !== undefined && view
        },
        {
          what: 'the injection to end',
          limitMs: 300_000,
          everyMs: 10,
          onTimeout: async () => (await readFile(world.controller.logFile, 'utf8')).slice(-4000),
        },
      )
    },
  }
}

/** Vouches for a machine's key, as somebody who looked at it would. */
export async function knownHosts(box: Container): Promise<string> {
  const key = await run(box, 'cat', '/etc/ssh/ssh_host_ed25519_key.pub')
  return `${box.address} ${key}\n`
}

/** All of a machine that an injection could change, but for logs and what accounts leave behind. */
export async function snapshot(box: Container): Promise<string> {
  const find = `find /etc /usr /opt /srv /home /root /var/lib -xdev \\
      \\( -path /var/lib/sudo -o -path /var/lib/systemd -o -path /var/lib/cloud \\) -prune -o \\
      ! -name '*-' ! -name .pwd.lock ! -name .updated ! -type d -printf '%p %m %u %s %l\\n' \\
      -o -type d -name '*mooring*' -print | sort
    getent passwd 1337
    systemctl list-unit-files --no-legend 'mooring*'
    iptables-save | grep -c ISTIO_ || :`
  return run(box, 'sh', '-c', find)
}
