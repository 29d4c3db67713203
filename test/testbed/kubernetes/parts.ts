import { arch } from 'node:os'
import { join } from 'node:path'
import { provideClusterImages } from '../parts/cluster-images.ts'
import { provideDebianFiles } from '../parts/debian-files.ts'
import { provideEnvoy } from '../parts/envoy.ts'
import { provideHelm } from '../parts/helm.ts'
import { currentIstio, type IstioRelease, istioVersion, provideIstio, provideIstiod } from '../parts/istio.ts'
import { provideIstioCharts } from '../parts/istio-charts.ts'
import { type KubernetesProgram, kubernetesVersion, provideKubernetes } from '../parts/kubernetes.ts'
import { createPartCache, defaultCacheRoot, type PartCache } from '../parts/part-cache.ts'
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

/** What istiod in a cluster is made of. */
export interface IstiodParts {
  readonly istioVersion: string
  readonly istiod: string
  readonly helm: string
  /** Istio's custom resource definitions of that version. */
  readonly crds: string
  /** Folder of istiod's chart. */
  readonly chart: string
}

/** What a node with pods is made of, and what gives pods to it. */
export interface NodeParts {
  readonly controllerManager: string
  readonly scheduler: string
  readonly kubelet: string
  /** Folder with containerd, runc and the network plugins, as Debian lays them out. */
  readonly runtime: string
  /** One archive with all images of the testbed. */
  readonly images: string
}

export interface ClusterPartsDeps {
  /** @defaultValue the testbed's cache */
  readonly cacheRoot?: string
  readonly progress: Progress
  readonly signal?: AbortSignal
}

/** Returns what a cluster without nodes is made of, and first gets what is missing: minutes once, then milliseconds. */
export async function ensureClusterParts(deps: ClusterPartsDeps): Promise<ClusterParts> {
  const { signal } = deps
  const cache = cacheOf(deps)
  const etcd = { names: ['etcd-server'], files: ['usr/bin/etcd'] }
  const etcdFiles = await provideDebianFiles(cache, signal, arch(), etcd)
  const { crds } = await provideIstioCharts(cache, signal, arch())
  const apiServer = await provideKubernetes(cache, signal, arch(), 'kube-apiserver')
  const kubectl = await provideKubernetes(cache, signal, arch(), 'kubectl')
  return { kubernetesVersion, etcd: join(etcdFiles, 'usr/bin/etcd'), apiServer, kubectl, crds }
}

/** Returns what istiod in a cluster is made of, and first gets what is missing. */
export async function ensureIstiodParts(
  deps: ClusterPartsDeps & {
    /** @defaultValue the current one */
    readonly release?: IstioRelease
  },
): Promise<IstiodParts> {
  const { signal, release = currentIstio } = deps
  const cache = cacheOf(deps)
  const istiod = await provideIstiod(cache, signal, arch(), release)
  const { discovery: chart, crds } = await provideIstioCharts(cache, signal, arch(), release)
  const helm = await provideHelm(cache, signal, arch())
  return { istioVersion: release.version, istiod, helm, crds, chart }
}

/** Returns what a node with pods is made of, and first gets what is missing. */
export async function ensureNodeParts(deps: ClusterPartsDeps): Promise<NodeParts> {
  const cache = cacheOf(deps)
  const { signal } = deps
  const runtime = await provideDebianFiles(cache, signal, arch(), {
    names: ['containerd', 'runc', 'containernetworking-plugins'],
    files: ['usr/bin/containerd', 'usr/sbin/runc', 'usr/lib/cni/bridge'],
  })
  const envoy = await provideEnvoy(cache, signal, arch())
  const istio = await provideIstio(cache, signal, arch())
  const images = await provideClusterImages(cache, signal, arch(), { istioVersion, envoy, ...istio })
  const program = (name: KubernetesProgram) => provideKubernetes(cache, signal, arch(), name)
  const controllerManager = await program('kube-controller-manager')
  const scheduler = await program('kube-scheduler')
  return { controllerManager, scheduler, kubelet: await program('kubelet'), runtime, images }
}

function cacheOf(deps: ClusterPartsDeps): PartCache {
  const { progress, signal, cacheRoot = defaultCacheRoot(process.env) } = deps
  return createPartCache({ root: cacheRoot, progress, signal })
}
