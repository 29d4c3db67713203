import { existsSync, realpathSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { mustRun } from '../../testbed/command.ts'
import { createContainer } from '../../testbed/machines/container.ts'
import { overlayOptions } from '../../testbed/machines/container-command.ts'
import type { Container, Image } from '../../testbed/machines/machine.ts'
import type { Seed } from '../../testbed/machines/seed.ts'
import type { Network } from '../../testbed/network/network.ts'
import { waitFor } from '../../world/waiting.ts'
import type { World } from '../../world/world.ts'

const project = resolve(import.meta.dirname, '../../..')
const recipes = join(project, 'packaging/image-builder')
const arch = process.arch === 'arm64' ? 'arm64' : 'amd64'
const libatomic = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/libatomic.so.1`

/** An application as anybody would write it: enabled in the image, and knows nothing of the mesh. */
const application = `[Unit]
Description=An application
[Service]
ExecStart=${process.execPath} ${project}/test/testbed/apps/app-server.ts --name %H --bind 0.0.0.0
[Install]
WantedBy=multi-user.target
`

const makeImage = `
set -e
mount -t overlay overlay -o "$1" "$2"
mount -t proc proc "$2/proc"
bash ${recipes}/agent.sh --root "$2" --deb "$3"
cp "$4" "$2/etc/systemd/system/app.service"
chroot "$2" systemctl enable app.service
bash ${recipes}/seal.sh --root "$2"
`

/** Makes the agent's package, and an image with it: sealed, with an application, without a word of a controller. */
export async function makeAgentImage(network: Network, base: Image): Promise<Image> {
  const dir = join(network.tempDir, 'agent-image')
  const overlay = { layers: base.layers, upper: `${dir}/disk`, work: `${dir}/work`, merged: `${dir}/root` }
  for (const each of [overlay.upper, overlay.work, overlay.merged]) await mkdir(each, { recursive: true })
  const release = join(dir, 'release')
  await mustRun(
    process.execPath,
    [
      ...[join(project, 'packaging/release/main.ts'), '--out', release, '--draft'],
      ...['--arch', arch, '--format', 'deb', '--package', 'mooring-agent'],
    ],
    { cwd: project, timeoutMs: 600_000 },
  )
  const deb = (await readdir(release)).find((name) => name.endsWith('.deb')) ?? ''
  await writeFile(join(dir, 'app.service'), application)
  const args = [overlayOptions(overlay), overlay.merged, join(release, deb), join(dir, 'app.service')]
  await mustRun(
    'unshare',
    ['--mount', '--propagation', 'private', '--', 'sh', '-c', makeImage, 'sh', ...args],
    {
      timeoutMs: 300_000,
    },
  )
  return { layers: [overlay.upper, ...base.layers] }
}

/** A machine of an image with an application, off. */
export function createBox(network: Network, name: string, image: Image, seed: Seed = {}): Promise<Container> {
  const shares = [
    { from: project, at: project },
    { from: realpathSync(process.execPath), at: process.execPath },
    // Of the application's runtime; the machine has no other use for it.
    ...(existsSync(libatomic) ? [{ from: realpathSync(libatomic), at: libatomic }] : []),
  ]
  return createContainer({ network, name, image, shares, seed })
}

/** The disk of a machine that is off, as a layer for machines that are copies of it. */
export async function copyDisk(box: Container, network: Network, image: Image, copy: string): Promise<Image> {
  const all = join(network.tempDir, 'machines')
  for (const number of await readdir(all)) {
    const disk = join(all, number, 'disk')
    const hostname = join(disk, 'etc/hostname')
    if (!existsSync(hostname)) continue
    const { stdout } = await mustRun('cat', [hostname])
    if (stdout.trim() !== box.name) continue
    const target = join(network.tempDir, `copy-${copy}`)
    await mustRun('cp', ['-a', disk, target])
    return { layers: [target, ...image.layers] }
  }
  throw new Error(`${box.name} has no disk`)
}

/** Runs a program in a machine; it must succeed. */
export async function run(box: Container, command: string, ...args: readonly string[]): Promise<string> {
  const result = await box.exec(command, args)
  if (result.code !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr || result.stdout}`)
  return result.stdout.trim()
}

/** What the controller knows of the machine with this address, but for those that left. */
export async function viewOf(world: World, box: Pick<Container, 'address'>) {
  const vms = await world.operator.vms()
  return vms.find((vm) => vm.address === box.address && vm.phase !== 'left')
}

/** Waits until a machine serves in the mesh. */
export function isReady(world: World, box: Container) {
  return waitFor(
    async () => {
      const vm = await viewOf(world, box)
      return vm?.phase === 'ready' && vm
    },
    { what: `${box.name} to be ready`, limitMs: 150_000, onTimeout: () => lastWords(box) },
  )
}

/** What a machine's agent said last. */
export async function lastWords(box: Container): Promise<string> {
  return box.journal(['-o', 'short', '-n', '40', '-u', 'mooring-agent', '-u', 'cloud-init'])
}

/** What a machine's agent said in all its boots, one entry a line. */
export function agentSaid(box: Container): Promise<string> {
  return box.journal(['-o', 'cat', '-u', 'mooring-agent'])
}
