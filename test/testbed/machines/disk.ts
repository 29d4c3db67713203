import { createHash } from 'node:crypto'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { recipeDigest, runRecipe } from '../parts/debian-root.ts'
import type { ProgressStep } from '../progress.ts'
import { shellPort } from './emulated-command.ts'
import { cardSettings, fitIntoTestbed, idleUnits } from './fitting.ts'
import type { Image } from './machine.ts'
import { shellUnit } from './shell-port.ts'

/** What an emulated machine boots from; its own disk is a copy on write of `image`. */
export interface Disk {
  readonly image: string
  readonly kernel: string
  readonly initrd: string
}

export interface DiskRequest {
  readonly image: Image
  /** Gets the disk's files. */
  readonly dir: string
  /** The agent's package and its configuration, to be baked in. */
  readonly agent?: string
  readonly config?: string
  /** The sidecar's archive, to be baked in too. */
  readonly sidecar?: string
  /** Its kernel is taken over, and nothing fetched. */
  readonly kernel?: Disk
  readonly step: ProgressStep
  readonly signal?: AbortSignal | undefined
}

// What the initramfs of an emulated machine needs to reach its disk.
const modules = ['virtio_pci', 'virtio_blk', 'ext4']

/** Makes a disk by the recipe that users make theirs with; half a minute, most of it for the kernel's packages. */
export async function makeDisk(request: DiskRequest): Promise<Disk> {
  const { image, dir, agent, config, sidecar, kernel, step, signal } = request
  const files = join(dir, 'files')
  await rm(files, { recursive: true, force: true })
  await fitIntoTestbed(files)
  await addShell(files)
  await runRecipe(
    'build.sh',
    [
      ...['--root', image.layers.join(':'), '--out', dir, '--files', files],
      ...(agent === undefined ? [] : ['--agent', agent]),
      ...(config === undefined ? [] : ['--config', config]),
      ...(sidecar === undefined ? [] : ['--sidecar', sidecar]),
      ...(kernel === undefined
        ? modules.flatMap((name) => ['--module', name])
        : ['--kernel', dirname(kernel.image)]),
    ],
    step,
    signal,
  )
  await rm(files, { recursive: true })
  return diskIn(dir)
}

/** The disk whose files are in a folder. */
export function diskIn(dir: string): Disk {
  return { image: join(dir, 'disk.img'), kernel: join(dir, 'vmlinuz'), initrd: join(dir, 'initrd.img') }
}

/** Names the disk in the cache: the root below it, the recipe, and what the testbed adds decide what it is. */
export async function diskKey(image: Image): Promise<string> {
  const inputs = [
    ...image.layers,
    ...modules,
    ...idleUnits,
    cardSettings,
    shellUnit(shellPort),
    await recipeDigest(['build.sh', 'chroot.sh']),
  ]
  return `debian-disk-${createHash('sha256').update(inputs.join('\0')).digest('hex').slice(0, 8)}`
}

async function addShell(root: string): Promise<void> {
  const units = join(root, 'etc/systemd/system')
  const wanted = join(units, 'multi-user.target.wants')
  await mkdir(wanted, { recursive: true })
  await writeFile(join(units, 'testbed-shell.service'), shellUnit(shellPort))
  await symlink('../testbed-shell.service', join(wanted, 'testbed-shell.service'))
}
