import { createClient } from '../../../controller/kubernetes/client.ts'
import { createConnection } from '../../../controller/kubernetes/connection.ts'
import { readAccess } from '../../../controller/kubernetes/kubeconfig.ts'
import {
  createKubernetesMesh,
  type KubernetesMesh,
  type KubernetesMeshDeps,
  type MeshEvent,
} from '../../../controller/mesh/kubernetes/kubernetes.ts'
import { meshPermissions } from '../../../controller/mesh/kubernetes/permissions.ts'
import type { IstioObject } from '../../../controller/mesh/mesh.ts'
import { type EndpointHealth, workloadEntry } from '../../../controller/mesh/objects.ts'
import type { PoolRecord } from '../../../controller/store/records.ts'
import type { PoolSpec } from '../../../shared/api/operator.ts'
import { systemClock } from '../../../shared/clock.ts'
import { createLog } from '../../../shared/log.ts'
import { type Cluster, startCluster } from '../../testbed/kubernetes/cluster.ts'
import { type ClusterParts, ensureClusterParts } from '../../testbed/kubernetes/parts.ts'
import { createNetwork, type Network } from '../../testbed/network/network.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { poolOf, vmOf } from '../../unit/controller/mesh/sample.ts'

export const controllerAccount = 'system:serviceaccount:mooring-system:mooring'

/** A pool that serves HTTP. */
export const webPool: PoolSpec = {
  namespace: 'shop',
  serviceAccount: 'web',
  labels: { app: 'web', version: 'v1' },
  locality: 'region-a/zone-1',
  service: {
    host: 'web.shop.internal',
    ports: [{ name: 'http', number: 80, target: 8080, protocol: 'HTTP' }],
  },
  join: { methods: ['token'], cidrs: ['10.0.0.0/8'] },
}

export interface MeshScene {
  readonly mesh: KubernetesMesh
  readonly events: MeshEvent[]
  close(): Promise<void>
}

export interface MeshSceneOptions {
  readonly cluster: Cluster
  readonly kubeconfig: string
  readonly pools: ReadonlyMap<string, PoolRecord>
  readonly owner?: string
  readonly settings?: Partial<KubernetesMeshDeps['settings']>
  readonly more?: Partial<KubernetesMeshDeps>
}

/** A cluster with the mesh adapter at work in it, over `webPool`. */
export interface MeshCluster extends MeshScene {
  readonly network: Network
  readonly parts: ClusterParts
  readonly cluster: Cluster
  /** Of the controller's account. */
  readonly kubeconfig: string
  /** May be changed. */
  readonly pools: Map<string, PoolRecord>
}

/** Starts a cluster, lets `install` put an Istio into it, and starts the adapter with the rights of its tables. */
export async function createMeshCluster(
  name: string,
  install: (network: Network, cluster: Cluster) => Promise<MeshSceneOptions['settings']>,
): Promise<MeshCluster> {
  const parts = await ensureClusterParts({ progress: silentProgress })
  const network = await createNetwork({ name })
  try {
    const cluster = await startCluster({ network, parts })
    const settings = await install(network, cluster)
    await cluster.apply([namespaceObject('shop'), ...controllerRoles()])
    const kubeconfig = await cluster.kubeconfigFor(controllerAccount)
    const pools = new Map([['web', poolOf(webPool)]])
    const scene = await openMesh({ cluster, kubeconfig, pools, ...(settings && { settings }) })
    await scene.mesh.start(new AbortController().signal)
    return {
      ...scene,
      network,
      parts,
      cluster,
      kubeconfig,
      pools,
      async close() {
        await scene.close()
        await network.close()
      },
    }
  } catch (error) {
    await network.close()
    throw error
  }
}

/** The adapter as the controller makes it; not started. */
export async function openMesh(options: MeshSceneOptions): Promise<MeshScene> {
  const { kubeconfig: file, pools, owner = 'mooring-system/mooring' } = options
  const connection = createConnection({ access: () => readAccess({ file }), clock: systemClock })
  try {
    const mesh = await createKubernetesMesh(
      {
        client: createClient({ connection, unavailable: 'MESH_UNAVAILABLE' }),
        owner,
        namespaces: [],
        settings: { ...settings, ...options.settings },
        pools: () => pools,
        artifacts: () => [],
        clock: systemClock,
        log: createLog({ level: 'silent' }),
        random: Math.random,
        lookMs: 300,
        ...options.more,
      },
      new AbortController().signal,
    )
    const events: MeshEvent[] = []
    mesh.subscribe((event) => events.push(event))
    return {
      mesh,
      events,
      async close() {
        await mesh.close()
        connection.close()
      },
    }
  } catch (error) {
    connection.close()
    throw error
  }
}

const settings: KubernetesMeshDeps['settings'] = {
  istioNamespace: 'istio-system',
  revision: '',
  address: undefined,
  addresses: {},
  clusterId: undefined,
  network: undefined,
  proxyConfig: {},
  environment: {},
  certificateTtlSeconds: 3600,
}

/** The roles that `meshPermissions` asks for, and nothing else, given to the controller's account. */
export function controllerRoles(): readonly object[] {
  const all = meshPermissions({ istioNamespace: 'istio-system', revisions: ['', 'canary'] })
  const rules = (...wheres: readonly string[]) =>
    all
      .filter(({ where }) => wheres.includes(where))
      .map(({ apiGroup, resource, verbs, names }) => ({
        apiGroups: [apiGroup],
        resources: [resource],
        verbs,
        ...(names && { resourceNames: names }),
      }))
  const subjects = [{ kind: 'ServiceAccount', name: 'mooring', namespace: 'mooring-system' }]
  const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1' }
  const group = 'rbac.authorization.k8s.io'
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'mooring-system' } },
    { ...rbac, kind: 'ClusterRole', metadata: { name: 'mooring' }, rules: rules('pools', 'cluster') },
    {
      ...rbac,
      kind: 'ClusterRoleBinding',
      metadata: { name: 'mooring' },
      roleRef: { apiGroup: group, kind: 'ClusterRole', name: 'mooring' },
      subjects,
    },
    {
      ...rbac,
      kind: 'Role',
      metadata: { name: 'mooring', namespace: 'istio-system' },
      rules: rules('istio', 'root'),
    },
    {
      ...rbac,
      kind: 'RoleBinding',
      metadata: { name: 'mooring', namespace: 'istio-system' },
      roleRef: { apiGroup: group, kind: 'Role', name: 'mooring' },
      subjects,
    },
  ]
}

/** What Istio's installation leaves in a cluster, as far as the adapter reads it. */
export const istioInstallation: readonly object[] = [
  {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'istio-system', labels: { 'topology.istio.io/network': 'net-a' } },
  },
  {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: { mesh: 'trustDomain: mesh.example\ndefaultConfig:\n  meshId: mesh-1\n  concurrency: 2\n' },
  },
  {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio-ca-root-cert', namespace: 'istio-system' },
    data: { 'root-cert.pem': '-----BEGIN CERTIFICATE-----\nfirst\n-----END CERTIFICATE-----\n' },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'istio-eastwestgateway',
      namespace: 'istio-system',
      labels: { istio: 'eastwestgateway' },
    },
    spec: { type: 'LoadBalancer', ports: [{ name: 'tls-istiod', port: 15012 }] },
  },
]

export function namespaceObject(name: string): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
}

/** The entry of a VM of `webPool`, or of another one. */
export function entry(
  vm: string,
  address: string,
  health: EndpointHealth,
  spec: PoolSpec = webPool,
): IstioObject {
  return workloadEntry({ vm, record: vmOf({ address }), poolName: 'web', pool: poolOf(spec), health })
}

/** One object of the cluster as it is, with its managed fields. */
export async function stored(cluster: Cluster, kind: string, at: string): Promise<StoredObject> {
  const [namespace = '', name = ''] = at.split('/')
  const args = ['get', kind, name, '-n', namespace, '-o', 'json', '--show-managed-fields']
  return JSON.parse((await cluster.kubectl(args)).stdout)
}

export interface StoredObject {
  readonly metadata: {
    readonly generation: number
    readonly resourceVersion: string
    readonly uid: string
    readonly labels?: Record<string, string>
    readonly managedFields: readonly { manager: string; operation: string; subresource?: string }[]
  }
  readonly spec: Record<string, unknown>
  readonly status?: { readonly conditions?: readonly Record<string, unknown>[] }
}
