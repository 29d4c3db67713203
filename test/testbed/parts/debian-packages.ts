import { runCommand } from '../command.ts'
import { onPath } from '../on-path.ts'
import type { ProgressStep } from '../progress.ts'
import { TestbedError } from '../testbed-error.ts'

export interface DebianPackagesRequest {
  readonly names: readonly string[]
  readonly step?: ProgressStep
  readonly signal?: AbortSignal | undefined
}

const limitMs = 10 * 60_000

/** Installs packages of the operating system; refuses with what to install by hand where it cannot. */
export async function ensureDebianPackages(request: DebianPackagesRequest): Promise<void> {
  const wanted = request.names.join(' ')
  if (process.getuid?.() !== 0)
    throw new TestbedError('PACKAGE_MISSING', `${wanted} (not installed by itself: this is not root)`)
  if ((await onPath('apt-get')) === undefined)
    throw new TestbedError('PACKAGE_MISSING', `${wanted} (not installed by itself: there is no apt-get)`)

  request.step?.at(`apt-get install ${wanted}`)
  const first = await aptGet(request, ['install', ...request.names])
  if (first.code === 0) return
  // A machine that never fetched the lists, or has old ones, knows no package or a version that is gone.
  await aptGet(request, ['update'])
  const second = await aptGet(request, ['install', ...request.names])
  if (second.code !== 0)
    throw new TestbedError(
      'PACKAGE_MISSING',
      `${wanted}: ${second.stderr.trim().split('\n').slice(-4).join('\n')}`,
    )
}

function aptGet(request: DebianPackagesRequest, args: readonly string[]) {
  const flags = ['--yes', '--quiet', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120']
  return runCommand('apt-get', [...flags, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeoutMs: limitMs,
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  })
}
