import { createHash } from 'node:crypto'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { provideGo } from './go.ts'
import { type GoModule, goWanted, readGoModule, runGo } from './go-build.ts'
import type { PartCache } from './part-cache.ts'

export const istioVersion = '1.29.1'

const programs = {
  istiod: { source: 'pilot/cmd/pilot-discovery', about: 'about 4 min on 2 cores' },
  'pilot-agent': { source: 'pilot/cmd/pilot-agent', about: 'half a minute' },
  istioctl: { source: 'istioctl/cmd/istioctl', about: 'one and a half minutes' },
} as const
type ProgramName = keyof typeof programs

/** A version of Istio that the testbed has. */
export interface IstioRelease {
  readonly version: string
  /**
   * Folder of the go.mod and go.sum that pin it: Istio's Go module carries no release tags, and go.sum also answers for
   * requirements that the checksum database does not know.
   */
  readonly moduleDir: string
  readonly programs: readonly ProgramName[]
}

/** What VMs and pods of the testbed run with. */
export const currentIstio: IstioRelease = {
  version: istioVersion,
  moduleDir: fileURLToPath(new URL('../istio/', import.meta.url)),
  programs: ['istiod', 'pilot-agent', 'istioctl'],
}

/** The oldest that is supported. Sidecars are the current ones all the same, which spares minutes of building. */
export const oldestIstio: IstioRelease = {
  version: '1.27.0',
  moduleDir: fileURLToPath(new URL('../istio-1.27/', import.meta.url)),
  programs: ['istiod'],
}

const versionPackage = 'istio.io/istio/pkg/version'
const templateInModule = 'tools/packaging/common/envoy_bootstrap.json'

export interface IstioPart {
  readonly istiod: string
  readonly pilotAgent: string
  readonly istioctl: string
  readonly bootstrapTemplate: string
}

/** Istio's own programs, built from its Go module, and the bootstrap template that belongs to them. */
export async function provideIstio(
  cache: PartCache,
  signal: AbortSignal | undefined,
  arch: string,
): Promise<IstioPart> {
  const dir = await provideRelease(cache, signal, arch, currentIstio)
  return {
    istiod: join(dir, 'istiod'),
    pilotAgent: join(dir, 'pilot-agent'),
    istioctl: join(dir, 'istioctl'),
    bootstrapTemplate: join(dir, template),
  }
}

/** Path of the istiod of a release. */
export async function provideIstiod(
  cache: PartCache,
  signal: AbortSignal | undefined,
  arch: string,
  release: IstioRelease,
): Promise<string> {
  return join(await provideRelease(cache, signal, arch, release), 'istiod')
}

const template = 'envoy_bootstrap_tmpl.json'

async function provideRelease(
  cache: PartCache,
  signal: AbortSignal | undefined,
  arch: string,
  release: IstioRelease,
): Promise<string> {
  const { version, moduleDir, programs: names } = release
  const { goMod, goSum } = await readModule(release)
  return cache.provide({
    key: istioKey(arch, goMod, goSum, release),
    label: `${names.join(', ')} ${version} (built from Go modules)`,
    files: [...names, template],
    executables: names,
    async make(dir, step) {
      const go = await provideGo(cache, signal, arch, goWanted(goMod))
      for (const name of names) {
        const { source, about } = programs[name]
        step.at(`${name}, ${about}`)
        const flags = linkerFlags(version)
        const output = join(dir, name)
        const args = ['build', '-trimpath', '-ldflags', flags, '-o', output, `istio.io/istio/${source}`]
        await runGo({ go, dir: moduleDir, args, signal, onLine: (line) => step.at(`${name}: ${line}`) })
      }
      const list = ['list', '-m', '-f', '{{.Dir}}', 'istio.io/istio']
      const { stdout } = await runGo({ go, dir: moduleDir, args: list, signal })
      await copyFile(join(stdout.trim(), templateInModule), join(dir, template))
    },
  })
}

/** The module files that pin Istio. */
export function readModule(release: IstioRelease = currentIstio): Promise<GoModule> {
  return readGoModule(release.moduleDir)
}

/** Names a build: the version, the machine's kind, and a digest of everything else that decides what comes out. */
export function istioKey(
  arch: string,
  goMod: string,
  goSum: string,
  { version, programs: names }: IstioRelease = currentIstio,
): string {
  const sources = names.map((name) => [name, programs[name].source])
  const digest = createHash('sha256')
  for (const input of [goMod, goSum, linkerFlags(version), JSON.stringify(sources)])
    digest.update(input).update('\0')
  return `istio-${version}-${arch}-${digest.digest('hex').slice(0, 8)}`
}

function linkerFlags(version: string): string {
  return `-s -w -X ${versionPackage}.buildVersion=${version} -X ${versionPackage}.buildStatus=Clean`
}
