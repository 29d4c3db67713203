import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { mustRun } from '../command.ts'
import type { Progress, ProgressStep } from '../progress.ts'
import { readAptSource } from './apt-source.ts'
import type { PartCache } from './part-cache.ts'
import { ensurePrograms } from './system-programs.ts'

/** The recipe that users of the project build their images with. */
export const recipeDir = fileURLToPath(
  new URL('../../../packaging/image-builder/debootstrap/', import.meta.url),
)

const makeLimitMs = 15 * 60_000

/** A Debian root with its own systemd and cloud-init: a folder that nobody changes, under the overlays of machines. */
export async function provideDebianRoot(
  cache: PartCache,
  progress: Progress,
  signal: AbortSignal | undefined,
  arch: string,
): Promise<string> {
  const dir = await cache.provide({
    key: await debianRootKey(arch),
    label: 'a Debian root with systemd and cloud-init',
    files: ['root/sbin/init', 'root/usr/bin/cloud-init', 'root/etc/machine-id'],
    executables: [],
    keepsModes: true,
    async make(dir, step) {
      await ensurePrograms({ debootstrap: 'debootstrap' }, { progress, signal })
      const source = await readAptSource(signal)
      const lines = source.lines.flatMap((line) => ['--source', line])
      const target = ['--suite', source.suite, '--mirror', source.mirror]
      await runRecipe('root.sh', ['--dir', join(dir, 'root'), ...target, ...lines], step, signal)
    },
  })
  return join(dir, 'root')
}

/** Runs a script of the recipe to its end; the last lines it says show as progress. */
export async function runRecipe(
  script: string,
  args: readonly string[],
  step: ProgressStep,
  signal: AbortSignal | undefined,
): Promise<void> {
  await mustRun(join(recipeDir, script), args, {
    timeoutMs: makeLimitMs,
    onLine: (line) => step.at(line),
    ...(signal === undefined ? {} : { signal }),
  })
}

/** Names the part in the cache: the recipe decides what it is. */
export async function debianRootKey(arch: string): Promise<string> {
  return `debian-root-${arch}-${await recipeDigest(['root.sh', 'chroot.sh'])}`
}

/** A digest of scripts of the recipe. */
export async function recipeDigest(scripts: readonly string[]): Promise<string> {
  const digest = createHash('sha256')
  for (const script of scripts) digest.update(await readFile(join(recipeDir, script))).update('\0')
  return digest.digest('hex').slice(0, 8)
}
