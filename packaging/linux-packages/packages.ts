import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { run } from '../tools/command.ts'
import type { Arch } from '../tools/runtimes.ts'
import { packLimitMs, repackDeb } from './deb-repack.ts'
import { writeBuildHost } from './rpm-build-host.ts'

export const packageNames = ['mooring-agent', 'mooring-controller', 'mooring'] as const
export type PackageName = (typeof packageNames)[number]
export type Format = 'deb' | 'rpm'

export interface PackagesDeps {
  /** The project's root. */
  readonly project: string
  readonly nfpm: string
  /** Folder for what is only needed meanwhile; emptied. */
  readonly workFolder: string
  /** Seconds since 1970: the time of every file. */
  readonly epoch: number
  /** Packed quickly instead of small: for trying, not for handing out. */
  readonly draft: boolean
}

export interface PackageRequest {
  readonly name: PackageName
  readonly format: Format
  readonly arch: Arch
  /** As in package.json. */
  readonly version: string
  /** What was built: files that nfpm.yaml names below `build/`, with the places where they are. */
  readonly built: Readonly<Record<string, string>>
  /** Folder that the package is put into. */
  readonly out: string
}

/** Makes one package and returns its path; the same inputs give the same bytes. */
export async function makePackage(request: PackageRequest, deps: PackagesDeps): Promise<string> {
  const { name, format, arch, version, built, out } = request
  const { project, nfpm, workFolder, epoch, draft } = deps
  await rm(workFolder, { recursive: true, force: true })
  await mkdir(out, { recursive: true })
  const own = path.join(project, 'packaging/linux-packages', name)
  await cp(own, path.join(workFolder, name), { recursive: true })
  await cp(path.join(project, 'packaging/systemd'), path.join(workFolder, 'systemd'), { recursive: true })
  await cp(path.join(project, 'docs'), path.join(workFolder, 'docs'), { recursive: true })
  await cp(path.join(project, 'LICENSE'), path.join(workFolder, 'LICENSE'))
  for (const [file, from] of Object.entries(built)) {
    await mkdir(path.dirname(path.join(workFolder, 'build', file)), { recursive: true })
    await cp(from, path.join(workFolder, 'build', file))
  }
  if (draft) await replaceIn(path.join(workFolder, name, 'nfpm.yaml'), 'zstd:19', 'zstd:fastest')
  // nfpm gives files that have no time of their own in its file this one.
  const env = { ARCH: arch, VERSION: version, SOURCE_DATE_EPOCH: String(epoch), TZ: 'UTC' }
  const times = [workFolder, ...(await filesBelow(workFolder))]
  await run('touch', ['--no-dereference', `--date=@${epoch}`, ...times])
  const target = path.join(out, fileName({ name, format, arch, version }))
  const args = ['package', '--config', `${name}/nfpm.yaml`, '--packager', format, '--target', target]
  await run(nfpm, args, { cwd: workFolder, env, timeoutMs: packLimitMs })
  if (format === 'deb') await repackDeb(target, { arch, workFolder, epoch, draft })
  else await writeBuildHost(target, 'reproducible')
  await rm(workFolder, { recursive: true, force: true })
  return target
}

/** The name that Debian and Fedora give such a file. */
export function fileName(of: Pick<PackageRequest, 'name' | 'format' | 'arch' | 'version'>): string {
  const { name, format, arch, version } = of
  // A tilde sorts before the end of a version: 1.0.0~rc.1 comes before 1.0.0.
  const number = `${version.replace('-', '~')}-1`
  if (format === 'deb') return `${name}_${number}_${arch}.deb`
  return `${name}-${number}.${{ amd64: 'x86_64', arm64: 'aarch64' }[arch]}.rpm`
}

/** When the last change was made, in seconds since 1970: what is built of it is as old. */
export async function sourceEpoch(project: string, env: NodeJS.ProcessEnv): Promise<number> {
  const said = env.SOURCE_DATE_EPOCH ?? (await run('git', ['log', '-1', '--format=%ct'], { cwd: project }))
  const epoch = Number(said.trim())
  if (!Number.isInteger(epoch) || epoch <= 0) throw new Error(`SOURCE_DATE_EPOCH is no time: ${said}`)
  return epoch
}

/** The version of the project. */
export async function projectVersion(project: string): Promise<string> {
  const text = await readFile(path.join(project, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

async function replaceIn(file: string, what: string, by: string): Promise<void> {
  await writeFile(file, (await readFile(file, 'utf8')).replaceAll(what, by))
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder, { recursive: true })
  return names.map((name) => path.join(folder, name))
}
