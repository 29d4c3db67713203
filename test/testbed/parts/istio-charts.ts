import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { provideGo } from './go.ts'
import { goWanted, runGo } from './go-build.ts'
import { currentIstio, type IstioRelease, readModule } from './istio.ts'
import type { PartCache } from './part-cache.ts'

/** Istio's own definitions, as its Go module holds them. */
export interface IstioCharts {
  /** All of Istio's custom resource definitions, one YAML file. */
  readonly crds: string
  /** The Helm chart of istiod, a folder. */
  readonly discovery: string
}

const crds = 'base/files/crd-all.gen.yaml'
const discovery = 'istio-control/istio-discovery'

/** Istio's charts, which belong to the same version as its programs. */
export async function provideIstioCharts(
  cache: PartCache,
  signal: AbortSignal | undefined,
  arch: string,
  release: IstioRelease = currentIstio,
): Promise<IstioCharts> {
  const dir = await cache.provide({
    key: `istio-charts-${release.version}`,
    label: `charts of Istio ${release.version} (from its Go module)`,
    files: [crds, `${discovery}/Chart.yaml`],
    executables: [],
    async make(dir) {
      const { goMod } = await readModule(release)
      const go = await provideGo(cache, signal, arch, goWanted(goMod))
      const download = ['mod', 'download', '-json', 'istio.io/istio']
      const { stdout } = await runGo({ go, dir: release.moduleDir, args: download, signal })
      const charts = join((JSON.parse(stdout) as { Dir: string }).Dir, 'manifests/charts')
      for (const each of ['base', 'istio-control'])
        await cp(join(charts, each), join(dir, each), { recursive: true })
    },
  })
  return { crds: join(dir, crds), discovery: join(dir, discovery) }
}
