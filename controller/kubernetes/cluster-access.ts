import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import { type Client, createClient } from './client.ts'
import { createConnection } from './connection.ts'
import { type KubeconfigSource, readAccess } from './kubeconfig.ts'

/** The account of the pod that a program runs in. */
export type InCluster = Extract<KubeconfigSource, { inCluster: unknown }>['inCluster']

export interface ClusterAccessDeps {
  /** Empty: as the account of the pod. */
  readonly kubeconfig: string
  /** Empty: the current one of the kubeconfig. */
  readonly context: string
  /** Empty: that of the pod, or of the context. */
  readonly namespace: string
  /** Absent outside of a pod. */
  readonly inCluster: InCluster | undefined
  readonly clock: Clock
}

/** The controller's one connection to its cluster, and what goes over it. */
export interface ClusterAccess {
  /** The controller's own. */
  readonly namespace: string
  /** Errors say what an API server that is away means to who asks. */
  readonly store: Client
  readonly mesh: Client
  close(): void
}

/** Throws `CONFIG_INVALID` where the cluster, or the controller's namespace in it, is said nowhere. */
export async function openCluster(deps: ClusterAccessDeps): Promise<ClusterAccess> {
  const source = sourceOf(deps)
  const connection = createConnection({ access: () => readAccess(source), clock: deps.clock })
  try {
    const namespace = deps.namespace || (await connection.namespace())
    if (namespace === undefined) {
      throw new MooringError('CONFIG_INVALID', {
        detail: 'mesh.kubernetes.namespace is empty, and the kubeconfig names none',
      })
    }
    return {
      namespace,
      store: createClient({ connection, unavailable: 'STORE_UNAVAILABLE' }),
      mesh: createClient({ connection, unavailable: 'MESH_UNAVAILABLE' }),
      close: connection.close,
    }
  } catch (error) {
    connection.close()
    throw error
  }
}

function sourceOf({ kubeconfig: file, context, inCluster }: ClusterAccessDeps): KubeconfigSource {
  if (file !== '') return { file, ...(context !== '' && { context }) }
  if (inCluster !== undefined) return { inCluster }
  throw new MooringError('CONFIG_INVALID', {
    detail: 'mesh.kubernetes.kubeconfig is empty, and this is no pod',
  })
}
