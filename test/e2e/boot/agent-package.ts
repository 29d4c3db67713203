import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { mustRun } from '../../testbed/command.ts'

const project = resolve(import.meta.dirname, '../../..')

/** This machine's kind, by Go's names. */
export const arch = process.arch === 'arm64' ? 'arm64' : 'amd64'

/** Makes the agent's package of these sources, below `dir`; half a minute. */
export async function makeAgentPackage(dir: string): Promise<string> {
  const out = join(dir, 'release')
  const what = ['--draft', '--arch', arch, '--format', 'deb', '--package', 'mooring-agent']
  await mustRun(process.execPath, [join(project, 'packaging/release/main.ts'), '--out', out, ...what], {
    cwd: project,
    timeoutMs: 600_000,
  })
  const name = (await readdir(out)).find((each) => each.endsWith('.deb'))
  if (name === undefined) throw new Error(`there is no package in ${out}`)
  return join(out, name)
}

/** The same package, byte for byte in what it installs, under another version. */
export async function renumbered(deb: string, version: string): Promise<string> {
  const dir = join(deb, '..', `as-${version}`)
  await mkdir(dir)
  const files = join(dir, 'files')
  await mustRun('dpkg-deb', ['--raw-extract', deb, files], { timeoutMs: 120_000 })
  const control = join(files, 'DEBIAN/control')
  const text = await readFile(control, 'utf8')
  await writeFile(control, text.replace(/^Version: .*$/m, `Version: ${version}`))
  const made = join(dir, basename(deb).replace(/_[^_]*_/, `_${version}_`))
  await mustRun('dpkg-deb', ['--root-owner-group', '-Znone', '--build', files, made], { timeoutMs: 120_000 })
  return made
}
