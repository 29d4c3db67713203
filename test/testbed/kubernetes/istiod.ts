/**
 * istiod in a cluster's own way: its settings, rights and webhooks come from its chart, its authority is in a Secret of
 * the cluster. Only the process is one of the host, not of a pod.
 *
 *     const istiod = await startIstiod({ network, cluster, parts })       // parts: ensureIstiodParts
 *     istiod.address; await istiod.rootCertificates(); await istiod.debug('registryz')
 *     await startIstiod({ network, cluster, parts, revision: 'canary' })  // beside it, at an address of its own
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mustRun } from '../command.ts'
import { networks } from '../network/addresses.ts'
import { ipBatch } from '../network/ip.ts'
import type { Network } from '../network/network.ts'
import { TestbedError } from '../testbed-error.ts'
import type { Cluster } from './cluster.ts'
import { istiodObjects, istiodValues } from './istiod-objects.ts'
import type { IstiodParts } from './parts.ts'
import { createProgram, type Program } from './program.ts'

export interface ClusterIstiod extends Program {
  readonly revision: string
  /** Where VMs and pods reach it, at port 15012. */
  readonly address: string
  /** Its name, which its certificate carries. */
  readonly host: string
  /** What sidecars have to trust, PEM. */
  rootCertificates(): Promise<string>
  /** What it says under `/debug/`. */
  debug(path: string): Promise<string>
}

export interface ClusterIstiodDeps {
  readonly network: Network
  readonly cluster: Cluster
  readonly parts: IstiodParts
  /** @defaultValue `default` */
  readonly revision?: string
  /** Laid over the mesh config of the chart. */
  readonly mesh?: object
  readonly meshNetworks?: object
  readonly signal?: AbortSignal
}

const namespace = 'istio-system'
// VMs begin at .10.
const maxIstiods = 8

/** Starts istiod, and returns when it serves, its webhooks are in force and its root is published. */
export async function startIstiod(deps: ClusterIstiodDeps): Promise<ClusterIstiod> {
  const { network, cluster, parts, revision = 'default', signal } = deps
  const { dir, number } = await claimFolder(network)
  const name = revision === 'default' ? 'istiod' : `istiod-${revision}`
  const host = `${name}.${namespace}.svc`
  const address = istiodAddress(number)
  const loopback = `127.0.0.${1 + number}`
  if (number > 0)
    await ipBatch([`addr add ${address}/${networks.brm.prefix} dev brm`], {
      namespace: network.host.name,
      signal,
    })
  await cluster.addHost(address, [host, `${host}.cluster.local`])

  const values = join(dir, 'values.json')
  const mesh = deps.mesh ?? {}
  const given = { name, revision, tag: parts.istioVersion, mesh, networks: deps.meshNetworks ?? {} }
  await writeFile(values, JSON.stringify(istiodValues(given)))
  const rendered = await mustRun(parts.helm, helmArguments(name, parts.chart, values), {
    env: { HOME: dir, PATH: process.env.PATH },
    timeoutMs: 120_000,
  })
  await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }])
  await cluster.apply(istiodObjects(rendered.stdout, address))

  const debug = async (path: string) =>
    (await network.host.exec('curl', ['--silent', '--fail', `http://${loopback}:15014/debug/${path}`])).stdout
  const asked = async (args: readonly string[]) =>
    (await cluster.kubectl([...args, '--ignore-not-found'])).stdout.trim()
  const rootCertificates = () =>
    asked([
      'get',
      'configmap',
      'istio-ca-root-cert',
      '-n',
      namespace,
      '-o',
      'jsonpath={.data.root-cert\\.pem}',
    ])
  const injector = `istio-sidecar-injector${revision === 'default' ? '' : `-${revision}`}`
  const trusted = 'jsonpath={.webhooks[*].clientConfig.caBundle}'

  const program = createProgram({
    name,
    namespace: network.host,
    command: parts.istiod,
    args: [
      ...[
        'discovery',
        '--kubeconfig',
        await cluster.kubeconfigFor(`system:serviceaccount:${namespace}:${name}`),
      ],
      ...['--registries', 'Kubernetes', '--domain', 'cluster.local'],
      ...['--secureGRPCAddr', `${address}:15012`, '--httpsAddr', `${address}:15017`, '--grpcAddr', ''],
      ...['--httpAddr', `${loopback}:8080`, '--monitoringAddr', `${loopback}:15014`, '--ctrlz_port', '0'],
    ],
    env: environment(revision, `${name}-${number}`),
    logFile: join(dir, 'istiod.log'),
    isReady: async () => {
      const ready = ['--silent', '--fail', `http://${loopback}:8080/ready`]
      if ((await network.host.exec('curl', ready)).code !== 0) return false
      const webhook = ['get', 'mutatingwebhookconfiguration', injector, '-o', trusted]
      return (await asked(webhook)) !== '' && (await rootCertificates()) !== ''
    },
    signal,
  })
  await program.start()
  return Object.assign(program, { revision, address, host, rootCertificates, debug })
}

/** Where VMs and pods reach the first istiod of a network (0), or a later one. */
export function istiodAddress(number: number): string {
  return networks.brm.host.replace(/\.1$/, `.${1 + number}`)
}

function helmArguments(name: string, chart: string, values: string): readonly string[] {
  return ['template', name, chart, '--namespace', namespace, '--values', values]
}

function environment(revision: string, podName: string): Readonly<Record<string, string>> {
  return {
    REVISION: revision,
    POD_NAME: podName,
    POD_NAMESPACE: namespace,
    CLUSTER_ID: 'Kubernetes',
    PILOT_CERT_PROVIDER: 'istiod',
    ENABLE_CA_SERVER: 'true',
    // Upstream Envoy lacks these filters.
    PILOT_ENABLE_METADATA_EXCHANGE: 'false',
    PILOT_ENABLE_ALPN_FILTER: 'false',
  }
}

async function claimFolder(network: Network): Promise<{ dir: string; number: number }> {
  for (let number = 0; number < maxIstiods; number++) {
    const dir = join(network.hostDir, `istiod-${number}`)
    const made = await mkdir(dir).then(
      () => true,
      () => false,
    )
    if (made) return { dir, number }
  }
  throw new TestbedError('ADDRESS_IN_USE', `${network.id} has ${maxIstiods} istiods already`)
}
