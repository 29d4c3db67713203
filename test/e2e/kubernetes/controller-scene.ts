import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { storePermissions } from '../../../controller/store/kubernetes/permissions.ts'
import { type Cluster, startCluster } from '../../testbed/kubernetes/cluster.ts'
import { type ClusterIstiod, startIstiod } from '../../testbed/kubernetes/istiod.ts'
import { ensureClusterParts, ensureIstiodParts } from '../../testbed/kubernetes/parts.ts'
import { silentProgress as progress } from '../../testbed/progress.ts'
import { createWorld, type World, type WorldDeps } from '../../world/world.ts'
import { controllerAccount, controllerRoles, namespaceObject } from './mesh-scene.ts'

/** A world whose mesh is that of a cluster. */
export interface KubernetesWorld extends World {
  readonly cluster: Cluster
  readonly istiod: ClusterIstiod
}

const definitions = resolve(import.meta.dirname, '../../../packaging/helm/crds')
const namespace = 'mooring-system'

/** Builds a cluster with istiod in it, and a controller that has the rights of its own tables and no more. */
export async function createKubernetesWorld(deps: Omit<WorldDeps, 'startCluster'>): Promise<KubernetesWorld> {
  const [parts, istiodParts] = [await ensureClusterParts({ progress }), await ensureIstiodParts({ progress })]
  let made: { readonly cluster: Cluster; readonly istiod: ClusterIstiod } | undefined
  const world = await createWorld({
    ...deps,
    async startCluster(network) {
      const cluster = await startCluster({ network, parts })
      // As in the mesh of the controller's own: Istio's retries would hide failed requests.
      const mesh = { defaultProviders: {}, defaultHttpRetryPolicy: { attempts: 0 } }
      const istiod = await startIstiod({ network, cluster, parts: istiodParts, mesh })
      for (const file of await readdir(definitions)) {
        await cluster.apply(await readFile(join(definitions, file), 'utf8'))
      }
      await cluster.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=90s'])
      await cluster.apply([namespaceObject('shop'), ...controllerRoles()])
      await cluster.apply(storeRoles())
      made = { cluster, istiod }
      const kubeconfig = await cluster.kubeconfigFor(controllerAccount)
      return { kubeconfig, namespace, istiodAddress: `${istiod.address}:15012` }
    },
  })
  if (made === undefined) throw new Error('the world has no cluster')
  return { ...world, ...made }
}

/** The roles that `storePermissions` asks for, given to the controller's account. */
function storeRoles(): readonly object[] {
  const rules = (wanted: 'all' | 'own') =>
    storePermissions
      .filter(({ where }) => where === wanted)
      .map(({ apiGroup, resource, verbs }) => ({ apiGroups: [apiGroup], resources: [resource], verbs }))
  const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1' }
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', name: 'mooring-store' }
  const subjects = [{ kind: 'ServiceAccount', name: 'mooring', namespace }]
  const metadata = { name: 'mooring-store' }
  const own = { ...metadata, namespace }
  return [
    { ...rbac, kind: 'ClusterRole', metadata, rules: rules('all') },
    {
      ...rbac,
      kind: 'ClusterRoleBinding',
      metadata,
      roleRef: { ...roleRef, kind: 'ClusterRole' },
      subjects,
    },
    { ...rbac, kind: 'Role', metadata: own, rules: rules('own') },
    { ...rbac, kind: 'RoleBinding', metadata: own, roleRef: { ...roleRef, kind: 'Role' }, subjects },
  ]
}
