import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { mustRun, runCommand } from '../command.ts'
import { TestbedError } from '../testbed-error.ts'
import { readAptSource } from './apt-source.ts'
import type { PartCache } from './part-cache.ts'

export interface DebianFilesRequest {
  /** Packages to unpack into one folder. */
  readonly names: readonly string[]
  /** What all of them are called. @defaultValue their names */
  readonly title?: string
  /** Files that must be there then. */
  readonly files: readonly string[]
}

const downloadLimitMs = 5 * 60_000

/**
 * A folder with the files of Debian packages, which are fetched and unpacked but not installed: nothing of them starts
 * a server on this machine or gets in the way of what it has.
 */
export async function provideDebianFiles(
  cache: PartCache,
  signal: AbortSignal | undefined,
  arch: string,
  request: DebianFilesRequest,
): Promise<string> {
  const limits = signal === undefined ? {} : { signal }
  const { suite } = await readAptSource(signal)
  const wanted = request.title ?? request.names.join(', ')
  return cache.provide({
    key: `debian-${suite}-${request.title ?? request.names.join('-')}-${arch}`,
    label: `${wanted} (from Debian ${suite})`,
    files: request.files,
    executables: [],
    keepsModes: true,
    async make(dir, step) {
      const packages = join(dir, '.packages')
      await mkdir(packages)
      step.at('downloading')
      // apt gives up root for downloads where it can, and says so where the folder is not for everybody.
      const settings = ['APT::Sandbox::User=root', 'Acquire::http::Timeout=30', 'Acquire::Retries=3']
      const download = ['--quiet', ...settings.flatMap((each) => ['-o', each]), 'download', ...request.names]
      const fetch = () =>
        runCommand('apt-get', download, { ...limits, cwd: packages, timeoutMs: downloadLimitMs })
      let result = await fetch()
      if (result.code !== 0) {
        // Old lists name versions that are gone.
        await mustRun('apt-get', ['--quiet', 'update'], { ...limits, timeoutMs: downloadLimitMs })
        result = await fetch()
      }
      if (result.code !== 0) throw new TestbedError('PACKAGE_MISSING', `${wanted}: ${result.stderr.trim()}`)
      step.at('unpacking')
      for (const file of await readdir(packages))
        await mustRun('dpkg-deb', ['--extract', join(packages, file), dir], { ...limits, timeoutMs: 120_000 })
      await rm(packages, { recursive: true })
    },
  })
}
