import { arch } from 'node:os'
import { join } from 'node:path'
import { provideDebianFiles } from '../parts/debian-files.ts'
import { provideIstioCharts } from '../parts/istio-charts.ts'
import { kubernetesVersion, provideKubernetes } from '../parts/kubernetes.ts'
import { createPartCache, defaultCacheRoot } from '../parts/part-cache.ts'
import type { Progress } from '../progress.ts'

/** What a Kubernetes API server is made of; all paths are absolute. */
export interface ClusterParts {
  readonly kubernetesVersion: string
  readonly etcd: string
  readonly apiServer: string
  readonly kubectl: string
  /** Istio's custom resource definitions. */
  readonly crds: string
}

export interface ClusterPartsDeps {
  /** @defaultValue the testbed's cache */
  readonly cacheRoot?: string
  readonly progress: Progress
  readonly signal?: AbortSignal
}

/** Returns what a cluster without nodes is made of, and first gets what is missing: minutes once, then milliseconds. */
export async function ensureClusterParts(deps: ClusterPartsDeps): Promise<ClusterParts> {
  const { progress, signal } = deps
  const cache = createPartCache({ root: deps.cacheRoot ?? defaultCacheRoot(process.env), progress, signal })
  const etcd = { names: ['etcd-server'], files: ['usr/bin/etcd'] }
  const etcdFiles = await provideDebianFiles(cache, signal, arch(), etcd)
  const { crds } = await provideIstioCharts(cache, signal, arch())
  const apiServer = await provideKubernetes(cache, signal, arch(), 'kube-apiserver')
  const kubectl = await provideKubernetes(cache, signal, arch(), 'kubectl')
  return { kubernetesVersion, etcd: join(etcdFiles, 'usr/bin/etcd'), apiServer, kubectl, crds }
}
