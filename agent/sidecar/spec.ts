import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import type { Bundle } from '../../shared/api/bundle.ts'
import { sidecarFileList } from './files.ts'
import { keptStatistics } from './kept-statistics.ts'
import { runFiles, sidecarFiles, sidecarUser } from './paths.ts'
import type { SidecarSpec } from './supervisor.ts'

export interface SpecPaths {
  /** Folder of the installed version: part of the hash, so an upgrade is a restart. */
  readonly version: string
  readonly run: string
}

/** How pilot-agent is started for this bundle. What it watches by itself, as the token, is not in the hash. */
export function sidecarSpec(bundle: Bundle, paths: SpecPaths): SidecarSpec {
  const spec = {
    command: join(paths.version, sidecarFiles.pilotAgent),
    args: ['proxy', 'sidecar', '--templateFile', join(paths.version, sidecarFiles.template)],
    env: environment(bundle, paths),
    cwd: paths.run,
    ...sidecarUser,
  }
  const readAtStart = sidecarFileList(bundle).filter((file) => file.readAtStart)
  return {
    ...spec,
    hash: createHash('sha256')
      .update(JSON.stringify([spec, readAtStart]))
      .digest('hex'),
  }
}

/**
 * The whole environment. Names are pilot-agent's (istio pilot/cmd/pilot-agent/options/options.go) and, after
 * ISTIO_META_, the node metadata's (istio pkg/model/proxy.go).
 */
function environment(bundle: Bundle, paths: SpecPaths): Record<string, string> {
  const { mesh, workload, capture } = bundle
  const env: Record<string, string> = {
    ...stringEntries(mesh.proxyConfig.proxyMetadata),
    ...mesh.environment,
    PROXY_CONFIG: JSON.stringify(proxyConfig(bundle, paths)),
    // Verifies istiod by its name though it is dialled by its address: no entry in /etc/hosts. It covers the
    // CA too only while CA_ADDR is empty (istio pilot/cmd/pilot-agent/options/security.go); a certificate service
    // beside istiod is dialled, and verified, by the name that the mesh gives it.
    ISTIOD_SAN: mesh.istiod.host,
    CA_ADDR: mesh.environment.CA_ADDR ?? '',
    XDS_ROOT_CA: `./${runFiles.rootCertificate}`,
    CA_ROOT_CA: `./${runFiles.rootCertificate}`,
    PILOT_CERT_PROVIDER: 'custom',
    // No certificate of an earlier life is read or left on disk; the token alone proves the workload.
    PROV_CERT: '',
    OUTPUT_CERTS: '',
    JWT_POLICY: 'third-party-jwt',
    SECRET_TTL: `${workload.certificateTtlSeconds}s`,
    TRUST_DOMAIN: mesh.trustDomain,
    POD_NAME: bundle.vm,
    POD_NAMESPACE: workload.namespace,
    SERVICE_ACCOUNT: workload.serviceAccount,
    INSTANCE_IP: workload.address,
    // Without it the start waits two seconds for cloud metadata (istio pkg/bootstrap/platform).
    CLOUD_PLATFORM: 'none',
    ISTIO_META_CLUSTER_ID: mesh.clusterId,
    ISTIO_META_MESH_ID: mesh.meshId,
    ISTIO_META_NETWORK: mesh.network,
    ISTIO_META_WORKLOAD_NAME: workload.name,
    ISTIO_META_INTERCEPTION_MODE: 'REDIRECT',
    ISTIO_META_DNS_CAPTURE: String(capture.enabled && capture.dns),
    ISTIO_META_POD_PORTS: JSON.stringify(
      workload.ports.map((port) => ({ name: port.name, containerPort: port.target ?? port.number })),
    ),
    ISTIO_METAJSON_LABELS: JSON.stringify(labels(bundle)),
  }
  // Either would make istiod a second writer of the entry that the controller owns.
  delete env.ISTIO_META_WORKLOAD_ENTRY
  delete env.ISTIO_META_AUTO_REGISTER_GROUP
  return Object.fromEntries(Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** ProxyConfig as the mesh has it, with what only this VM knows. */
function proxyConfig({ mesh }: Bundle, paths: SpecPaths): Record<string, unknown> {
  const { address, port } = mesh.istiod
  return {
    ...mesh.proxyConfig,
    discoveryAddress: `${isIPv6(address) ? `[${address}]` : address}:${port}`,
    binaryPath: join(paths.version, sidecarFiles.envoy),
    configPath: `./${runFiles.config}`,
    // The agent drains before it stops the sidecar; then nothing is left to wait for.
    terminationDrainDuration: '0s',
    proxyStatsMatcher: keptStatistics(mesh.proxyConfig.proxyStatsMatcher),
  }
}

function labels({ workload }: Bundle): Record<string, string> {
  return {
    'service.istio.io/canonical-name': workload.labels.app ?? workload.name,
    'service.istio.io/canonical-revision': workload.labels.version ?? 'latest',
    ...workload.labels,
    // Envoy's locality comes from this label, where a dot stands for a slash (istio pkg/model/proxy.go).
    ...(workload.locality === undefined ? {} : { 'istio-locality': workload.locality.replaceAll('/', '.') }),
  }
}

function stringEntries(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}
