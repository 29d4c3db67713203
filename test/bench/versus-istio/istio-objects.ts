import { serverPool } from '../../world/world.ts'

/** How Istio's own VMs are called: the same ports as Mooring's, behind a host of their own. */
export const istioGroup = {
  name: 'istio-echo',
  namespace: 'default',
  host: 'istio-echo.mooring.internal',
  labels: { app: 'istio-echo' },
} as const

const { name, namespace, host, labels } = istioGroup
const metadata = { name, namespace }
const networking = 'networking.istio.io/v1'
const ports = serverPool.service?.ports ?? []
const probe = serverPool.probe?.http

/** The WorkloadGroup, with a probe every second; what VMs register for, and what their files are made of. */
export const workloadGroup = {
  apiVersion: networking,
  kind: 'WorkloadGroup',
  metadata,
  spec: {
    metadata: { labels },
    template: { serviceAccount: name },
    probe: { periodSeconds: 1, httpGet: { path: probe?.path ?? '/', port: probe?.port ?? 80 } },
  },
} as const

/** What a platform engineer makes once for a group of VMs, as Istio's documentation says it. */
export const istioObjects: readonly object[] = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
  workloadGroup,
  {
    apiVersion: networking,
    kind: 'ServiceEntry',
    metadata,
    spec: {
      hosts: [host],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports,
      workloadSelector: { labels },
    },
  },
]
