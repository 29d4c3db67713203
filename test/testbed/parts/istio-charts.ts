import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { provideGo } from './go.ts'
import { goWanted, runGo } from './go-build.ts'
import { istioVersion, readModule } from './istio.ts'
import type { PartCache } from './part-cache.ts'

/** Istio's own definitions, as its Go module holds them. */
export interface IstioCharts {
  /** All of Istio's custom resource definitions, one YAML file. */
  readonly crds: string
  /** The Helm chart of istiod, a folder. */
  readonly discovery: string
}

const moduleDir = fileURLToPath(new URL('../istio/', import.meta.url))
const crds = 'base/files/crd-all.gen.yaml'
const discovery = 'istio-control/istio-discovery'

/** Istio's charts, which belong to the same version as its programs. */
export async function provideIstioCharts(
  cache: PartCache,
  signal: AbortSignal | undefined,
  arch: string,
): Promise<IstioCharts> {
  const dir = await cache.provide({
    key: `istio-charts-${istioVersion}`,
    label: `charts of Istio ${istioVersion} (from its Go module)`,
    files: [crds, `${discovery}/Chart.yaml`],
    executables: [],
    async make(dir) {
      const { goMod } = await readModule()
      const go = await provideGo(cache, signal, arch, goWanted(goMod))
      const download = ['mod', 'download', '-json', 'istio.io/istio']
      const { stdout } = await runGo({ go, dir: moduleDir, args: download, signal })
      const charts = join((JSON.parse(stdout) as { Dir: string }).Dir, 'manifests/charts')
      for (const each of ['base', 'istio-control'])
        await cp(join(charts, each), join(dir, each), { recursive: true })
    },
  })
  return { crds: join(dir, crds), discovery: join(dir, discovery) }
}
