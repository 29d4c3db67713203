import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { BakedSidecar } from '../../testbed/bake.ts'
import { mustRun } from '../../testbed/command.ts'
import { type Cluster, startCluster } from '../../testbed/kubernetes/cluster.ts'
import { startControllers } from '../../testbed/kubernetes/controllers.ts'
import { type ClusterIstiod, startIstiod } from '../../testbed/kubernetes/istiod.ts'
import { type ClusterNode, startNode } from '../../testbed/kubernetes/node.ts'
import { ensureClusterParts, ensureIstiodParts, ensureNodeParts } from '../../testbed/kubernetes/parts.ts'
import type { Network } from '../../testbed/network/network.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { createMooring } from '../mooring.ts'
import { enrol } from '../operator.ts'
import { createWorld, type World, type WorldDeps } from '../world.ts'
import { type ChartController, createChartController, namespace } from './chart-controller.ts'
import { routeService } from './service-route.ts'

interface ChartParts {
  /** Path of kubectl. */
  kubectl: string
  cluster: Cluster
  istiod: ClusterIstiod
  node: ClusterNode
  controller: ChartController
}

/** A world whose controller is a pod, put there by the chart. */
export type ChartWorld = World & Readonly<ChartParts>

const project = resolve(import.meta.dirname, '../../..')
/** Who the controller is in its image. */
const user = 65_532
export const image = { repository: 'docker.io/mooring/controller', tag: 'testbed' } as const

/** Builds a cluster with istiod and a node, and installs the chart with the image made from these sources. */
export async function createChartWorld(
  deps: Omit<WorldDeps, 'startCluster' | 'createController' | 'enrol'>,
): Promise<ChartWorld> {
  const { progress = silentProgress, signal } = deps
  const limits = { progress, ...(signal && { signal }) }
  const parts = await ensureClusterParts(limits)
  const [istiodParts, nodeParts] = [await ensureIstiodParts(limits), await ensureNodeParts(limits)]
  const made: Partial<ChartParts> = {}
  let sidecar: BakedSidecar | undefined
  const world = await createWorld({
    ...deps,
    async startCluster(network) {
      const cluster = await startCluster({ network, parts })
      // As in the mesh of the controller's own: Istio's retries would hide failed requests.
      const mesh = { defaultProviders: {}, defaultHttpRetryPolicy: { attempts: 0 } }
      const [istiod, node, archive] = await Promise.all([
        startIstiod({ network, cluster, parts: istiodParts, mesh }),
        startNode({ network, cluster, parts: nodeParts }),
        buildImage(network),
        startControllers({ network, cluster, parts: nodeParts }),
      ])
      await node.importImage(archive)
      await cluster.apply([volume(await claimFolder(network))])
      Object.assign(made, { kubectl: parts.kubectl, cluster, istiod, node })
      const istiodAddress = `${istiod.address}:15012`
      return { kubeconfig: cluster.kubeconfig, namespace, istiodAddress }
    },
    async createController(given) {
      const { cluster } = made
      if (cluster === undefined) throw new Error('the world has no cluster')
      const { network } = given
      sidecar = given.sidecar
      made.controller = await createChartController({
        network,
        cluster,
        helm: istiodParts.helm,
        values: {
          image: { ...image, pullPolicy: 'Never' },
          advertise: [network.hostAddress, network.uplink.inside],
          mesh: { istiodAddress: given.cluster?.istiodAddress },
          service: { type: 'ClusterIP' },
          persistence: { enabled: true },
          // A node of the testbed is small.
          resources: { requests: { cpu: '10m', memory: '64Mi' } },
        },
        route: (name) =>
          routeService({ network, cluster, kubectl: parts.kubectl, namespace, name, port: 8443 }),
      })
      return made.controller
    },
    async enrol({ operatorUrl, ca, enrolmentCode, dataDir }) {
      const operator = await enrol({ url: operatorUrl, ca }, enrolmentCode)
      if (sidecar !== undefined)
        await addSidecar({ url: operatorUrl, ca, token: operator.token, dataDir }, sidecar)
      return operator
    },
  })
  return { ...world, ...(made as ChartParts) }
}

/** As an operator does it. */
async function addSidecar(
  { url, ca, token, dataDir }: { url: string; ca: string; token: string; dataDir: string },
  { version, path }: BakedSidecar,
): Promise<void> {
  const [caFile, tokenFile] = [join(dataDir, 'ca.pem'), join(dataDir, 'token')]
  await writeFile(caFile, ca)
  await writeFile(tokenFile, token, { mode: 0o600 })
  const env = { MOORING_URL: url, MOORING_CA_FILE: caFile, MOORING_TOKEN_FILE: tokenFile }
  const argv = ['artifact', 'add', path, '--sidecar-version', version]
  const { code, err } = await createMooring(dataDir).run(argv, { env })
  if (code !== 0) throw new Error(err)
}

async function buildImage(network: Network): Promise<string> {
  const out = join(network.hostDir, 'controller-image.tar')
  const program = join(project, 'packaging/container/main.ts')
  const name = `${image.repository}:${image.tag}`
  await mustRun(process.execPath, [program, '--draft', '--out', out, '--name', name], {
    timeoutMs: 5 * 60_000,
    cwd: project,
  })
  return out
}

/** A folder of the node for the controller, as a provisioner of volumes would make it. */
async function claimFolder(network: Network): Promise<string> {
  const folder = join(network.hostDir, 'controller-data')
  await mkdir(folder)
  await chmod(folder, 0o770)
  await chown(folder, user, user)
  return folder
}

function volume(path: string): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'controller' },
    spec: {
      capacity: { storage: '2Gi' },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      hostPath: { path },
    },
  }
}
