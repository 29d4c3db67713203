import type { Bundle, SidecarArtifact } from '../../shared/api/bundle.ts'
import { MooringError } from '../../shared/errors.ts'
import { hasEntry } from '../../shared/lifecycle.ts'
import type { Effects } from '../effects.ts'
import { bundle } from '../mesh/bundle.ts'
import type { Mesh } from '../mesh/mesh.ts'
import type { PoolRecord, VmRecord } from '../store/records.ts'
import type { ResourceStore } from '../store/resource-store.ts'
import { artifactFor, refusedBy } from './rollout/plan.ts'
import { termsOf } from './terms.ts'
import type { Wishes } from './wishes.ts'

/** Makes a VM's bundle, with a fresh token. Throws `NOT_FOUND`, `POOL_UNKNOWN`, `KEY_REVOKED` and `UNAVAILABLE`. */
export type BundleIssue = (vm: string, signal: AbortSignal) => Promise<Bundle>

export interface BundleIssueDeps {
  readonly store: ResourceStore
  readonly mesh: Mesh
  readonly effects: Effects
  readonly wishes: Wishes
  readonly tokenTtlSeconds: number
}

export function createBundleIssue(deps: BundleIssueDeps): BundleIssue {
  const { store, mesh, effects, wishes, tokenTtlSeconds } = deps
  return async (vm, signal) => {
    const stored = await store.get('vm', vm)
    if (stored === undefined) throw new MooringError('NOT_FOUND', { detail: `vm/${vm}` })
    const { value: record } = stored
    const poolName = record.pool
    const pool = (await store.get('pool', poolName))?.value
    if (pool === undefined) throw new MooringError('POOL_UNKNOWN', { detail: poolName })
    if (record.revoked !== undefined) {
      const isOver = record.revoked.now || !hasEntry(record.phase)
      if (isOver) throw new MooringError('KEY_REVOKED', { detail: vm })
      // The agent would take the sidecar away at once; it is to drain first, with the token that it has.
      throw new MooringError('UNAVAILABLE', { detail: `${vm} drains and is then removed` })
    }
    const { namespace, serviceAccount, revision } = pool.spec
    const facts = mesh.facts(revision)
    const request = {
      namespace,
      serviceAccount,
      vm,
      ttlSeconds: tokenTtlSeconds,
      ...(revision !== undefined && { revision }),
    }
    const token = await effects.run('token-minted', () => mesh.mint(request, signal))
    // Written before the token is out: a certificate may be had with it until its last moment.
    const artifact = record.artifact ?? (await firstArtifact(record, pool))
    const until = token.expiresAt + termsOf(pool, facts).certificateTtlMs
    await wishes.issued(vm, { until, ...(artifact && { artifact }) })
    const given = artifact === undefined ? record : { ...record, artifact }
    return bundle({ vm, record: given, poolName, pool, facts, token })
  }

  async function firstArtifact(record: VmRecord, pool: PoolRecord): Promise<SidecarArtifact | undefined> {
    const members = (await store.list('vm')).map(({ value }) => value).filter((vm) => vm.pool === record.pool)
    return artifactFor(record.arch, mesh.facts().artifacts, refusedBy(pool, members))
  }
}
