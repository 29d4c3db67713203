import { arch } from 'node:os'
import { provideDebianRoot } from '../parts/debian-root.ts'
import { createPartCache, defaultCacheRoot } from '../parts/part-cache.ts'
import { ensurePrograms } from '../parts/system-programs.ts'
import type { Progress } from '../progress.ts'
import { type Disk, diskIn, diskKey, makeDisk } from './disk.ts'
import type { Image } from './machine.ts'

/** What machines are made of. */
export interface MachineParts {
  /** Debian with systemd, cloud-init, sshd and iptables; no kernel. */
  readonly image: Image
}

export interface MachinePartsDeps {
  /** @defaultValue the testbed's cache */
  readonly cacheRoot?: string
  readonly progress: Progress
  readonly signal?: AbortSignal
}

// Program → the Debian package that brings it.
const emulator = { x64: 'qemu-system-x86_64', arm64: 'qemu-system-aarch64' } as const
const emulatorPackage = { x64: 'qemu-system-x86', arm64: 'qemu-system-arm' } as const

const needed = { 'systemd-nspawn': 'systemd-container', journalctl: 'systemd' } as const

/** Returns what containers are made of, and first makes what is missing: a minute or two once, then milliseconds. */
export async function ensureMachineParts(deps: MachinePartsDeps): Promise<MachineParts> {
  const { progress, signal } = deps
  await ensurePrograms(needed, { progress, signal })
  const root = deps.cacheRoot ?? defaultCacheRoot(process.env)
  const cache = createPartCache({ root, progress, signal })
  return { image: { layers: [await provideDebianRoot(cache, progress, signal, arch())] } }
}

/** Returns the disk that emulated machines are made from, and first makes what is missing. */
export async function ensureDisk(deps: MachinePartsDeps): Promise<Disk> {
  const { progress, signal } = deps
  const kind = arch() === 'arm64' ? 'arm64' : 'x64'
  await ensurePrograms(
    {
      [emulator[kind]]: emulatorPackage[kind],
      'qemu-img': 'qemu-utils',
      xorriso: 'xorriso',
    },
    { progress, signal },
  )
  const { image } = await ensureMachineParts(deps)
  const cache = createPartCache({ root: deps.cacheRoot ?? defaultCacheRoot(process.env), progress, signal })
  const dir = await cache.provide({
    key: await diskKey(image),
    label: 'a Debian disk with a kernel',
    files: ['disk.img', 'vmlinuz', 'initrd.img'],
    executables: [],
    async make(dir, step) {
      await makeDisk({ image, dir, step, signal })
    },
  })
  return diskIn(dir)
}
