import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { controllerRoles } from '../../../packaging/rbac/controller-roles.ts'
import { type Cluster, startCluster } from '../../testbed/kubernetes/cluster.ts'
import { type ClusterIstiod, istiodAddress, startIstiod } from '../../testbed/kubernetes/istiod.ts'
import { ensureClusterParts, ensureIstiodParts, type IstiodParts } from '../../testbed/kubernetes/parts.ts'
import { silentProgress as progress } from '../../testbed/progress.ts'
import type { ClusterOfController } from '../../world/controller-process.ts'
import { createWorld, type World, type WorldDeps } from '../../world/world.ts'
import { controllerAccount, namespaceObject } from './mesh-scene.ts'

/** A world whose mesh is that of a cluster. */
export interface KubernetesWorld extends World {
  readonly cluster: Cluster
  readonly istiod: ClusterIstiod
  /** Starts an istiod of another revision beside it, at the address that the controller was told. */
  startRevision(revision: string): Promise<ClusterIstiod>
  /** What a further replica is told of the cluster. */
  readonly access: ClusterOfController
}

export interface KubernetesWorldDeps extends Omit<WorldDeps, 'startCluster'> {
  /** @defaultValue the testbed's */
  readonly istiodParts?: IstiodParts
  /** Of istiods that are started later. */
  readonly revisions?: readonly string[]
}

const definitions = resolve(import.meta.dirname, '../../../packaging/helm/crds')
const namespace = 'mooring-system'
const installation = { name: 'mooring', namespace, account: 'mooring', istioNamespace: 'istio-system' }

/** Builds a cluster with istiod in it, and a controller that has the rights of its own tables and no more. */
export async function createKubernetesWorld(deps: KubernetesWorldDeps): Promise<KubernetesWorld> {
  const parts = await ensureClusterParts({ progress })
  const { revisions = [], istiodParts = await ensureIstiodParts({ progress }) } = deps
  // As in the mesh of the controller's own: Istio's retries would hide failed requests.
  const mesh = { defaultProviders: {}, defaultHttpRetryPolicy: { attempts: 0 } }
  let made: Pick<KubernetesWorld, 'cluster' | 'istiod' | 'startRevision' | 'access'> | undefined
  const world = await createWorld({
    ...deps,
    async startCluster(network) {
      const cluster = await startCluster({ network, parts: { ...parts, crds: istiodParts.crds } })
      const start = (revision?: string) =>
        startIstiod({ network, cluster, parts: istiodParts, mesh, ...(revision && { revision }) })
      const istiod = await start()
      for (const file of await readdir(definitions)) {
        await cluster.apply(await readFile(join(definitions, file), 'utf8'))
      }
      await cluster.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=90s'])
      await cluster.apply([namespaceObject('shop'), namespaceObject(namespace)])
      await cluster.apply(controllerRoles({ ...installation, revisions: ['', ...revisions] }))
      const kubeconfig = await cluster.kubeconfigFor(controllerAccount)
      const place = (number: number) => `${istiodAddress(number)}:15012`
      const istiodAddresses = Object.fromEntries(revisions.map((name, i) => [name, place(i + 1)]))
      const access = { kubeconfig, namespace, istiodAddress: place(0), istiodAddresses }
      made = { cluster, istiod, startRevision: start, access }
      return access
    },
  })
  if (made === undefined) throw new Error('the world has no cluster')
  return { ...world, ...made }
}
