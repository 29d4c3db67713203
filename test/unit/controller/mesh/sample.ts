import type { MeshFacts } from '../../../../controller/mesh/mesh.ts'
import type { PoolRecord, VmRecord } from '../../../../controller/store/records.ts'
import type { PoolSpec } from '../../../../shared/api/operator.ts'

/** A pool with a service on two ports. */
export const webSpec: PoolSpec = {
  namespace: 'shop',
  serviceAccount: 'web',
  labels: { tier: 'front', version: 'v2' },
  locality: 'region-a/zone-1',
  service: {
    host: 'web.shop.internal',
    ports: [
      { name: 'grpc', number: 9090, protocol: 'GRPC' },
      { name: 'http', number: 80, target: 8080, protocol: 'HTTP' },
    ],
  },
  join: { methods: ['token'], cidrs: ['10.0.0.0/8'] },
}

/** A pool whose VMs only call others. */
export const clientSpec: PoolSpec = {
  namespace: 'shop',
  serviceAccount: 'batch',
  join: { methods: ['token'], cidrs: ['10.0.0.0/8'] },
}

export function poolOf(spec: PoolSpec): PoolRecord {
  return { spec, createdAt: 1, updatedAt: 1 }
}

export function vmOf(fields: Partial<VmRecord> = {}): VmRecord {
  return {
    pool: 'web',
    method: 'token',
    keyThumbprint: 'a'.repeat(64),
    address: '10.0.0.11',
    hostname: 'web-1',
    arch: 'amd64',
    nics: [],
    bootId: 'b',
    admittedAt: 1,
    createdAt: 1,
    phase: 'joined',
    phaseSince: 1,
    health: 'unknown',
    conditions: [],
    lastSeenAt: 1,
    certificateExpiresAt: 1,
    workloadCertificateUntil: 1,
    agentVersion: '0.1.0',
    sidecarRestarts: 0,
    bundleRevision: '',
    facts: {},
    ...fields,
  }
}

export const sampleFacts: MeshFacts = {
  trustDomain: 'cluster.local',
  meshId: 'mesh',
  clusterId: 'Kubernetes',
  network: '',
  istiod: { host: 'istiod.istio-system.svc', address: '10.0.0.1', port: 15012 },
  rootCertificates: 'PEM',
  proxyConfig: { drainDuration: '45s' },
  environment: {},
  artifacts: [{ version: '1.29.1', arch: 'amd64', sha256: 'c'.repeat(64), size: 1 }],
  certificateTtlSeconds: 3600,
}
