import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { mustRun } from '../command.ts'
import { readAptSource } from './apt-source.ts'
import type { PartCache } from './part-cache.ts'

const updateLimitMs = 5 * 60_000
const names = ['libc6', 'libgcc-s1']
/** Debian's names of kinds of machines, with the program by which theirs are run here. */
export const emulators = { amd64: 'qemu-x86_64-static', arm64: 'qemu-aarch64-static' } as const

/**
 * The C library of another kind of machine, in a folder for `-L` of qemu-user. What this machine knows of packages is
 * left as it is: apt gets lists of its own for this.
 */
export async function provideForeignLibraries(
  cache: PartCache,
  arch: keyof typeof emulators,
  signal?: AbortSignal,
): Promise<string> {
  const { suite } = await readAptSource(signal)
  const loader = { amd64: 'lib64/ld-linux-x86-64.so.2', arm64: 'lib/ld-linux-aarch64.so.1' }[arch]
  return cache.provide({
    key: `debian-${suite}-${names.join('-')}-${arch}`,
    label: `the C library of ${arch} (from Debian ${suite})`,
    files: [loader],
    executables: [],
    keepsModes: true,
    async make(dir, step) {
      const own = join(dir, '.apt')
      for (const folder of ['lists/partial', 'cache/archives/partial', 'packages'])
        await mkdir(join(own, folder), { recursive: true })
      const settings = [
        ...[`Dir::State::lists=${own}/lists`, `Dir::Cache=${own}/cache`, 'APT::Sandbox::User=root'],
        ...[`APT::Architecture=${arch}`, `APT::Architectures=${arch}`],
        ...['Acquire::http::Timeout=30', 'Acquire::Retries=3', 'Acquire::Languages=none'],
      ].flatMap((each) => ['-o', each])
      const limits = { timeoutMs: updateLimitMs, ...(signal !== undefined && { signal }) }
      step.at('downloading')
      await mustRun('apt-get', ['--quiet', ...settings, 'update'], limits)
      const packages = join(own, 'packages')
      await mustRun('apt-get', ['--quiet', ...settings, 'download', ...names], { ...limits, cwd: packages })
      for (const file of await readdir(packages))
        await mustRun('dpkg-deb', ['--extract', join(packages, file), dir], limits)
      await rm(own, { recursive: true })
    },
  })
}
