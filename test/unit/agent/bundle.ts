import type { Bundle } from '../../../shared/api/bundle.ts'

/** A complete bundle, with whatever a test wants to be different. */
export function someBundle(change: (bundle: Bundle) => void = () => {}): Bundle {
  const bundle: Bundle = {
    revision: 'r1',
    vm: 'vm-1',
    pool: 'web',
    mesh: {
      trustDomain: 'cluster.local',
      meshId: 'mesh',
      clusterId: 'Kubernetes',
      network: 'net-1',
      istiod: { host: 'istiod.istio-system.svc', address: '10.0.0.1', port: 15012 },
      rootCertificates: 'ROOT',
      proxyConfig: {},
      environment: {},
    },
    workload: {
      name: 'web',
      namespace: 'shop',
      serviceAccount: 'web-sa',
      address: '10.0.0.10',
      labels: { app: 'web' },
      ports: [{ name: 'http', number: 80, target: 8080, protocol: 'HTTP' }],
      certificateTtlSeconds: 3600,
    },
    token: { value: 'secret-token', expiresAt: 0 },
    capture: {
      enabled: true,
      dns: true,
      excludeInboundPorts: [],
      excludeOutboundPorts: [],
      excludeOutboundCidrs: [],
      excludeInterfaces: [],
      whenSidecarDown: 'open',
    },
    drain: { deadlineSeconds: 15, quietSeconds: 1 },
    sidecar: { artifacts: [] },
  }
  change(bundle)
  return bundle
}
