import { createHash } from 'node:crypto'
import { copyFile, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommand } from '../command.ts'
import { fullPath } from '../on-path.ts'
import { TestbedError } from '../testbed-error.ts'
import { provideGo } from './go.ts'
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
const buildLimitMs = 45 * 60_000

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
        await runGo(go, args, signal, (line) => step.at(`${name}: ${line}`))
      }
      const { stdout } = await runGo(go, ['list', '-m', '-f', '{{.Dir}}', 'istio.io/istio'], signal)
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
export async function readModule(): Promise<{ goMod: string; goSum: string }> {
  const [goMod, goSum] = await Promise.all(
    ['go.mod', 'go.sum'].map((file) => readFile(join(moduleDir, file), 'utf8')),
  )
  return { goMod: goMod ?? '', goSum: goSum ?? '' }
}

/** The oldest Go that can build it, as its module file says. */
export function goWanted(goMod: string): string {
  return /^go (\S+)$/m.exec(goMod)?.[1] ?? '1.26.0'
}

/** Names a build: the version, the machine's kind, and a digest of everything else that decides what comes out. */
export function istioKey(arch: string, goMod: string, goSum: string): string {
  const digest = createHash('sha256')
  for (const input of [goMod, goSum, linkerFlags, JSON.stringify(programs.map((p) => [p.name, p.source]))])
    digest.update(input).update('\0')
  return `istio-${istioVersion}-${arch}-${digest.digest('hex').slice(0, 8)}`
}

async function runGo(
  go: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
  onLine?: (line: string) => void,
) {
  const env = {
    ...process.env,
    PATH: `${dirname(go)}:${fullPath(process.env.PATH)}`,
    CGO_ENABLED: '0',
    // What a person set for other projects must not change this build, nor fetch another Go.
    GOTOOLCHAIN: 'local',
    GOFLAGS: '',
    GOWORK: 'off',
    GOOS: '',
    GOARCH: '',
  }
  const result = await runCommand(go, args, {
    cwd: moduleDir,
    env,
    timeoutMs: buildLimitMs,
    ...(signal === undefined ? {} : { signal }),
    ...(onLine === undefined ? {} : { onLine }),
  })
  if (result.code === 0) return result
  const said = result.stderr
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('go: downloading'))
    .slice(-10)
  throw new TestbedError('BUILD_FAILED', `go ${args[0]} ended with ${result.code}\n${said.join('\n')}`)
}
