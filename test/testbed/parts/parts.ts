import { arch, platform } from 'node:os'
import type { Progress } from '../progress.ts'
import { TestbedError } from '../testbed-error.ts'
import { envoyVersion, provideEnvoy } from './envoy.ts'
import { istioVersion, provideIstio } from './istio.ts'
import { createPartCache, defaultCacheRoot } from './part-cache.ts'
import { ensureSystemPrograms } from './system-programs.ts'

/** Foreign programs that the testbed is made of; all paths are absolute. */
export interface Parts {
  readonly cacheRoot: string
  readonly istiod: string
  readonly pilotAgent: string
  readonly istioctl: string
  readonly envoy: string
  readonly bootstrapTemplate: string
  readonly istioVersion: string
  readonly envoyVersion: string
}

export interface PartsDeps {
  /** @defaultValue `$XDG_CACHE_HOME/mooring/testbed`, or `~/.cache/mooring/testbed` */
  readonly cacheRoot?: string
  readonly progress: Progress
  readonly signal?: AbortSignal
}

/** Returns the parts, and first gets those that the cache does not hold: minutes once, then milliseconds. */
export async function ensureParts(deps: PartsDeps): Promise<Parts> {
  const { progress, signal } = deps
  if (platform() !== 'linux' || !['x64', 'arm64'].includes(arch()))
    throw new TestbedError('NEEDS_LINUX', `this is ${platform()} on ${arch()}`)
  await ensureSystemPrograms({ progress, signal })
  const cacheRoot = deps.cacheRoot ?? defaultCacheRoot(process.env)
  const cache = createPartCache({ root: cacheRoot, progress, signal })
  // One after the other: the network is busy for seconds and both cores for minutes, so nothing is gained side by side.
  const envoy = await provideEnvoy(cache, signal, arch())
  const istio = await provideIstio(cache, signal, arch())
  return { cacheRoot, ...istio, envoy, istioVersion, envoyVersion }
}
