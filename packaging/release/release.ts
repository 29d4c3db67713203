import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { bashCompletion } from '../completion/bash.ts'
import { fishCompletion } from '../completion/fish.ts'
import { describePrograms } from '../completion/programs.ts'
import { zshCompletion } from '../completion/zsh.ts'
import { compileAgent } from '../executable/compile.ts'
import { withReleaseKey } from '../installer/release-key.ts'
import { type Format, makePackage, type PackageName } from '../linux-packages/packages.ts'
import { manPages } from '../man/pages.ts'
import { run } from '../tools/command.ts'
import { type Arch, hostArchOf, type Runtimes } from '../tools/runtimes.ts'
import { writeChecksums } from './checksums.ts'
import { bundleForNode } from './node-bundle.ts'
import { type NpmSbom, packageFolder, programSbom } from './sbom.ts'

export interface ReleaseDeps {
  /** The project's root. */
  readonly project: string
  /** Gets everything; what is in it is removed first. */
  readonly out: string
  readonly version: string
  /** Seconds since 1970. */
  readonly epoch: number
  readonly archs: readonly Arch[]
  readonly formats: readonly Format[]
  readonly packages: readonly PackageName[]
  readonly nfpm: string
  /** Packages are packed quickly instead of small: for trying, not for handing out. */
  readonly draft: boolean
  /** What signs the checksums later, PEM: the installer knows its public half. */
  readonly signingKey?: string
  readonly runtimes: Runtimes
  /** Node's name of this machine's kind. */
  readonly hostArch: string
  readonly say: (text: string) => void
}

/** Files of a release on their way into packages: names below `build/`, and where they are. */
type Built = Record<string, string>

/** Makes a release: the same sources give the same SHA256SUMS. */
export async function makeRelease(deps: ReleaseDeps): Promise<void> {
  const { project, out, version, epoch, runtimes, say } = deps
  const work = `${out}.work`
  await rm(out, { recursive: true, force: true })
  await mkdir(out, { recursive: true })
  try {
    const texts = await writeTexts(out, work, { version, epoch })
    const host = hostArchOf(deps.hostArch)
    const bun = await runtimes.bun(host)
    // What comes over the network first: it fails before the minutes of work, not after them.
    for (const arch of deps.archs) {
      await runtimes.bun(arch)
      if (deps.packages.includes('mooring')) await runtimes.node(arch)
    }
    const agents = new Map<Arch, string>()
    let agentInputs: readonly string[] = []
    for (const arch of deps.archs) {
      say(`mooring-agent, ${arch}`)
      const file = path.join(out, `mooring-agent-linux-${arch}`)
      const target = arch === 'amd64' ? 'bun-linux-x64' : 'bun-linux-arm64'
      const foreign = arch === host ? {} : { foreign: { target, runtime: await runtimes.bun(arch) } }
      agentInputs = await compileAgent(file, { project, bun, ...foreign })
      agents.set(arch, file)
    }
    say('mooring-controller and mooring, as one file each')
    const controller = path.join(work, 'controller.mjs')
    const controllerInputs = await bundleForNode('controller/main.ts', controller, { project, bun })
    const cli = path.join(work, 'cli.mjs')
    const cliInputs = await bundleForNode('cli/main.ts', cli, { project, bun })
    const manifest = path.join(work, 'package.json')
    await writeFile(manifest, `${JSON.stringify({ name: 'mooring', version, type: 'module' })}\n`)

    const inputs = {
      'mooring-agent': agentInputs,
      'mooring-controller': controllerInputs,
      mooring: cliInputs,
    }
    await writeSboms(inputs, deps)
    for (const arch of deps.archs) {
      for (const name of deps.packages) {
        const built: Built = {
          ...texts,
          ...(name === 'mooring-agent' && { 'mooring-agent': agents.get(arch) ?? '' }),
          ...(name === 'mooring-controller' && { 'controller/main.mjs': controller }),
          ...(name === 'mooring' && {
            node: await runtimes.node(arch),
            'cli/main.mjs': cli,
            'package.json': manifest,
          }),
        }
        // Side by side: what packs an rpm keeps one processor busy, and xz has its moments with one.
        const made = deps.formats.map(async (format) => {
          say(`${name}, ${arch}, ${format}`)
          const request = { name, format, arch, version, built, out }
          await makePackage(request, { ...deps, workFolder: path.join(work, `package-${format}`) })
        })
        await allSettledOrThrow(made)
      }
    }
    await writeInstaller(deps)
    await writeChecksums(out)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Man pages and completion: into the release, and for the packages. */
async function writeTexts(
  out: string,
  work: string,
  about: { readonly version: string; readonly epoch: number },
): Promise<Built> {
  const programs = describePrograms()
  const built: Built = {}
  const write = async (name: string, content: string | Buffer, to: string) => {
    const file = path.join(to, name)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, content)
    built[name] = file
  }
  for (const [name, text] of Object.entries(manPages(programs, about))) {
    await write(`man/${name}`, text, out)
    await write(`man/${name}.gz`, gzipSync(text, { level: 9 }), work)
  }
  for (const { program } of Object.values(programs)) {
    await write(`completion/${program.name}.bash`, bashCompletion(program), out)
    await write(`completion/${program.name}.fish`, fishCompletion(program), out)
    await write(`completion/_${program.name}`, zshCompletion(program), out)
  }
  return built
}

async function writeSboms(
  inputs: Readonly<Record<PackageName, readonly string[]>>,
  { project, out, version, epoch }: ReleaseDeps,
): Promise<void> {
  // With what is only for development: npm leaves out what both need.
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only']
  const all = JSON.parse(await run('npm', args, { cwd: project })) as NpmSbom
  for (const [name, files] of Object.entries(inputs)) {
    const folders = new Set(files.flatMap((file) => packageFolder(file) ?? []))
    const packages: string[] = []
    for (const folder of folders) packages.push(await nameAndVersion(path.join(project, folder)))
    const runtime = await nameAndVersion(
      path.join(project, 'node_modules', name === 'mooring-agent' ? 'bun' : 'node'),
    )
    const document = programSbom(all, { name, version, epoch, packages, runtime })
    await writeFile(path.join(out, `${name}.cdx.json`), `${JSON.stringify(document, null, 2)}\n`)
  }
  await copyFile(path.join(project, 'LICENSE'), path.join(out, 'LICENSE'))
}

async function writeInstaller({ project, out, signingKey }: ReleaseDeps): Promise<void> {
  const text = await readFile(path.join(project, 'packaging/installer/install.sh'), 'utf8')
  const script = signingKey === undefined ? text : withReleaseKey(text, signingKey)
  await writeFile(path.join(out, 'install.sh'), script, { mode: 0o755 })
}

/** Waits for all, also when one fails: nothing may still write when the folders are removed. */
async function allSettledOrThrow(work: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((one) => one.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

async function nameAndVersion(folder: string): Promise<string> {
  const text = await readFile(path.join(folder, 'package.json'), 'utf8')
  const { name, version } = JSON.parse(text) as { name: string; version: string }
  return `${name}@${version}`
}
