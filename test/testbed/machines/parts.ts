import { arch } from 'node:os'
import { provideDebianRoot } from '../parts/debian-root.ts'
import { createPartCache, defaultCacheRoot } from '../parts/part-cache.ts'
import { ensurePrograms } from '../parts/system-programs.ts'
import type { Progress } from '../progress.ts'
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
const needed = { 'systemd-nspawn': 'systemd-container', journalctl: 'systemd' } as const

/** Returns what containers are made of, and first makes what is missing: a minute or two once, then milliseconds. */
export async function ensureMachineParts(deps: MachinePartsDeps): Promise<MachineParts> {
  const { progress, signal } = deps
  await ensurePrograms(needed, { progress, signal })
  const root = deps.cacheRoot ?? defaultCacheRoot(process.env)
  const cache = createPartCache({ root, progress, signal })
  return { image: { layers: [await provideDebianRoot(cache, progress, signal, arch())] } }
}
