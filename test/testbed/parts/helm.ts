import { join } from 'node:path'
import { provideGo } from './go.ts'
import { runGo } from './go-build.ts'
import type { PartCache } from './part-cache.ts'

export const helmVersion = '3.22.0'

// As its module file says.
const goWanted = '1.26.0'

/** Path of Helm, built from its Go module. */
export async function provideHelm(
  cache: PartCache,
  signal: AbortSignal | undefined,
  arch: string,
): Promise<string> {
  const dir = await cache.provide({
    key: `helm-${helmVersion}-${arch}`,
    label: `Helm ${helmVersion} (built from Go modules, about a minute)`,
    files: ['helm'],
    executables: ['helm'],
    async make(dir, step) {
      const go = await provideGo(cache, signal, arch, goWanted)
      const flags = ['-trimpath', '-ldflags', '-s -w']
      const args = ['install', ...flags, `helm.sh/helm/v3/cmd/helm@v${helmVersion}`]
      await runGo({ go, dir, args, env: { GOBIN: dir }, signal, onLine: (line) => step.at(line) })
    },
  })
  return join(dir, 'helm')
}
