import { createHash } from 'node:crypto'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { provideGo } from './go.ts'
import { type GoModule, goWanted, readGoModule, runGo } from './go-build.ts'
import type { PartCache } from './part-cache.ts'

export const istioVersion = '1.29.1'

// go.mod and go.sum that pin Istio: its Go module carries no release tags, and go.sum also answers for one
// requirement that the checksum database does not know.
const moduleDir = fileURLToPath(new URL('../istio/', import.meta.url))

const programs = [
  { name: 'istiod', source: 'pilot/cmd/pilot-discovery', about: 'about 4 min on 2 cores' },
  { name: 'pilot-agent', source: 'pilot/cmd/pilot-agent', about: 'half a minute' },
  { name: 'istioctl', source: 'istioctl/cmd/istioctl', about: 'one and a half minutes' },
] as const

const version = 'istio.io/istio/pkg/version'
const linkerFlags = `-s -w -X ${version}.buildVersion=${istioVersion} -X ${version}.buildStatus=Clean`
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
  const { goMod, goSum } = await readModule()
  const template = 'envoy_bootstrap_tmpl.json'
  const names = programs.map((program) => program.name)
  const dir = await cache.provide({
    key: istioKey(arch, goMod, goSum),
    label: `istiod, pilot-agent, istioctl ${istioVersion} (built from Go modules)`,
    files: [...names, template],
    executables: names,
    async make(dir, step) {
      const go = await provideGo(cache, signal, arch, goWanted(goMod))
      for (const { name, source, about } of programs) {
        step.at(`${name}, ${about}`)
        const output = join(dir, name)
        const args = ['build', '-trimpath', '-ldflags', linkerFlags, '-o', output, `istio.io/istio/${source}`]
        await runGo({ go, dir: moduleDir, args, signal, onLine: (line) => step.at(`${name}: ${line}`) })
      }
      const list = ['list', '-m', '-f', '{{.Dir}}', 'istio.io/istio']
      const { stdout } = await runGo({ go, dir: moduleDir, args: list, signal })
      await copyFile(join(stdout.trim(), templateInModule), join(dir, template))
    },
  })
  return {
    istiod: join(dir, 'istiod'),
    pilotAgent: join(dir, 'pilot-agent'),
    istioctl: join(dir, 'istioctl'),
    bootstrapTemplate: join(dir, template),
  }
}

/** The module files that pin Istio. */
export function readModule(): Promise<GoModule> {
  return readGoModule(moduleDir)
}

/** Names a build: the version, the machine's kind, and a digest of everything else that decides what comes out. */
export function istioKey(arch: string, goMod: string, goSum: string): string {
  const digest = createHash('sha256')
  for (const input of [goMod, goSum, linkerFlags, JSON.stringify(programs.map((p) => [p.name, p.source]))])
    digest.update(input).update('\0')
  return `istio-${istioVersion}-${arch}-${digest.digest('hex').slice(0, 8)}`
}
