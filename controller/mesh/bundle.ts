import { createHash } from 'node:crypto'
import type { Bundle } from '../../shared/api/bundle.ts'
import type { PoolRecord, VmRecord } from '../store/records.ts'
import { workloadLabels } from './identity-labels.ts'
import type { MeshFacts, MintedToken } from './mesh.ts'
import { canonical } from './objects.ts'
import { effectivePool } from './pool-defaults.ts'

export interface BundleInput {
  readonly vm: string
  readonly record: VmRecord
  readonly poolName: string
  readonly pool: PoolRecord
  readonly facts: MeshFacts
}

/** All that a VM needs to be in the mesh. */
export function bundle(input: BundleInput & { readonly token: MintedToken }): Bundle {
  const content = bundleContent(input)
  return {
    revision: revisionOf(content),
    ...content,
    token: { value: input.token.token.reveal(), expiresAt: input.token.expiresAt },
  }
}

/** Changes when anything of the bundle but the token changes; needs no token. */
export function bundleRevision(input: BundleInput): string {
  return revisionOf(bundleContent(input))
}

type BundleContent = Omit<Bundle, 'revision' | 'token'>

function bundleContent({ vm, record, poolName, pool, facts }: BundleInput): BundleContent {
  const effective = effectivePool(pool.spec)
  return {
    vm,
    pool: poolName,
    mesh: {
      trustDomain: facts.trustDomain,
      meshId: facts.meshId,
      clusterId: facts.clusterId,
      network: effective.network ?? facts.network,
      istiod: { ...facts.istiod },
      rootCertificates: facts.rootCertificates,
      proxyConfig: { ...facts.proxyConfig },
      environment: { ...facts.environment },
    },
    workload: {
      name: poolName,
      namespace: effective.namespace,
      serviceAccount: effective.serviceAccount,
      address: record.address,
      labels: {
        ...workloadLabels(poolName, pool.spec),
        // As on an injected pod. Among the labels of the entry's metadata it would hide the VM from the istiods of
        // other revisions (istio pkg/config/model.go, LabelsInRevision).
        ...(facts.revision !== undefined && { 'istio.io/rev': facts.revision }),
      },
      ...(effective.locality !== undefined && { locality: effective.locality }),
      ports: [...(effective.service?.ports ?? [])],
      certificateTtlSeconds: facts.certificateTtlSeconds,
    },
    capture: effective.capture,
    ...(effective.probe && { probe: effective.probe }),
    drain: effective.drain,
    sidecar: { artifacts: record.artifact === undefined ? [...facts.artifacts] : [record.artifact] },
  }
}

function revisionOf(content: BundleContent): string {
  return createHash('sha256').update(canonical(content)).digest('hex').slice(0, 32)
}
