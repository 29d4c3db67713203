import { onPath } from '../on-path.ts'
import type { Progress } from '../progress.ts'
import { ensureDebianPackages } from './debian-packages.ts'

// Program → the Debian package that brings it.
const needed = {
  ip: 'iproute2',
  iptables: 'iptables',
  ip6tables: 'iptables',
  nft: 'nftables',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  setpriv: 'util-linux',
  flock: 'util-linux',
  // Its library makes a VM's clock wrong.
  faketime: 'faketime',
  sysctl: 'procps',
  ss: 'iproute2',
  // Calls between VMs, in the scenes of the agent's parts.
  curl: 'curl',
} as const

/** The packages behind those of `programs` that `find` does not know, without repetition. */
export async function missingPackages(
  programs: Readonly<Record<string, string>>,
  find: (program: string) => Promise<string | undefined>,
): Promise<readonly string[]> {
  const missing = new Set<string>()
  for (const [program, name] of Object.entries(programs))
    if ((await find(program)) === undefined) missing.add(name)
  return [...missing]
}

/** Sees to it that the system's own programs that the testbed calls are there. */
export async function ensureSystemPrograms(deps: {
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}): Promise<void> {
  await ensurePrograms(needed, deps)
}

/** Installs the packages of those of `programs` that this machine lacks. */
export async function ensurePrograms(
  programs: Readonly<Record<string, string>>,
  deps: { readonly progress: Progress; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const names = await missingPackages(programs, onPath)
  if (names.length === 0) return
  const step = deps.progress.start(`packages ${names.join(', ')}`)
  try {
    await ensureDebianPackages({ names, step, signal: deps.signal })
    step.done()
  } catch (error) {
    step.failed()
    throw error
  }
}
