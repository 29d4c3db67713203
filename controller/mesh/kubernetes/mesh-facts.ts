import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { parse } from 'yaml'
import type { MeshFacts } from '../mesh.ts'
import { rootNamespace } from '../objects.ts'

type Tree = Readonly<Record<string, unknown>>

/** What was read of the cluster; absent is what is not there. */
export interface FactSources {
  /** Key `mesh` of the ConfigMap `istio[-<revision>]`: MeshConfig in YAML. */
  readonly meshConfig: string | undefined
  /** Key `values` of the ConfigMap `istio-sidecar-injector[-<revision>]`: the installation's values in JSON. */
  readonly injectorValues: string | undefined
  /** Key `root-cert.pem` of the ConfigMap `istio-ca-root-cert`. */
  readonly rootCertificates: string | undefined
  /** Label `topology.istio.io/network` of istiod's namespace (istio pilot/.../kube/controller/network.go). */
  readonly network: string | undefined
  /** Services of the gateway by which VMs reach istiod. */
  readonly gateways: readonly unknown[]
}

interface Place {
  readonly address: string
  readonly port: number
}

/** What the controller's configuration adds. */
export interface FactSettings {
  readonly istioNamespace: string
  /** Empty or `default`: the one without a name. */
  readonly revision: string
  /** Where VMs reach istiod, when no gateway's Service says it. */
  readonly address: Place | undefined
  /** The same for single revisions. */
  readonly addresses: Readonly<Record<string, Place>>
  readonly clusterId: string | undefined
  readonly network: string | undefined
  readonly proxyConfig: Tree
  readonly environment: Readonly<Record<string, string>>
  readonly certificateTtlSeconds: number
}

/** All but the sidecars on offer, which are the controller's own. */
export type ClusterFacts = Omit<MeshFacts, 'artifacts'>

export interface FactFinding {
  /** Absent while what every VM needs is not there. */
  readonly facts: ClusterFacts | undefined
  /** Where policies hold for the whole mesh. */
  readonly rootNamespace: string
  /** What is not there, for people. */
  readonly missing: readonly string[]
}

export const istiodPort = 15_012
const rootLimit = 65_536

/** The name of a revision; the default one has none. */
export function revisionName(revision: string): string {
  return revision === 'default' ? '' : revision
}

/** `-<revision>`, by which Istio names what belongs to a revision; nothing for the default one. */
export function revisionSuffix(revision: string): string {
  const name = revisionName(revision)
  return name === '' ? '' : `-${name}`
}

/**
 * What VMs that a revision of istiod serves are told of a cluster's mesh; as `istioctl x workload entry configure` finds
 * it out (istioctl/pkg/workload).
 */
export function clusterFacts(
  sources: FactSources,
  settings: FactSettings,
  revision: string = settings.revision,
): FactFinding {
  const { istioNamespace } = settings
  const suffix = revisionSuffix(revision)
  const missing: string[] = []
  const mesh = readTree(sources.meshConfig)
  if (mesh === undefined)
    missing.push(`ConfigMap ${istioNamespace}/istio${suffix} with MeshConfig in key mesh`)
  const root = sources.rootCertificates
  const isRoot = root?.includes('-----BEGIN CERTIFICATE-----') && root.length <= rootLimit
  if (!isRoot) missing.push(`ConfigMap ${istioNamespace}/istio-ca-root-cert with root-cert.pem`)
  const address =
    settings.addresses[revisionName(revision) || 'default'] ??
    settings.address ??
    gatewayAddress(sources.gateways, revision)
  if (address === undefined) {
    missing.push(`an address of the Service with label istio=eastwestgateway in ${istioNamespace}`)
  }
  const meshRoot = text(mesh?.rootNamespace) ?? rootNamespace
  if (mesh === undefined || root === undefined || !isRoot) {
    return { facts: undefined, rootNamespace: meshRoot, missing }
  }
  const trustDomain = text(mesh.trustDomain) ?? 'cluster.local'
  const defaults = tree(mesh.defaultConfig)
  return {
    rootNamespace: meshRoot,
    missing,
    facts: {
      ...(suffix !== '' && { revision }),
      trustDomain,
      meshId: text(defaults.meshId) ?? trustDomain,
      clusterId: settings.clusterId ?? clusterName(sources.injectorValues) ?? 'Kubernetes',
      network: settings.network ?? sources.network ?? '',
      istiod: {
        host: `istiod${suffix}.${istioNamespace}.svc`,
        ...(address ?? { address: '', port: istiodPort }),
      },
      rootCertificates: root,
      proxyConfig: sidecarConfig(defaults, settings.proxyConfig),
      environment: { ...certificateService(sources.injectorValues), ...settings.environment },
      certificateTtlSeconds: settings.certificateTtlSeconds,
    },
  }
}

/** Istio's address and port of a VM's own sidecar are the agent's to know; its image is no VM's. */
function sidecarConfig(defaults: Tree, overrides: Tree): Tree {
  const { image: _, discoveryAddress: __, ...usable } = merge(defaults, overrides)
  return { drainDuration: '45s', ...usable, statusPort: 15020, proxyAdminPort: 15000 }
}

function merge(base: Tree, over: Tree): Tree {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) {
    merged[key] = isTree(merged[key]) && isTree(value) ? merge(merged[key], value) : value
  }
  return merged
}

function clusterName(values: string | undefined): string | undefined {
  const { global } = readTree(values) ?? {}
  return text(tree(tree(global).multiCluster).clusterName)
}

/**
 * Where workloads get certificates when istiod is not who signs, as with istio-csr: what Istio's own injection gives pods
 * (istio manifests/charts/istio-control/istio-discovery/files/injection-template.yaml, `caAddress`).
 */
function certificateService(values: string | undefined): Readonly<Record<string, string>> {
  const address = text(tree(readTree(values)?.global).caAddress)
  return address === undefined ? {} : { CA_ADDR: address }
}

const GatewayService = Type.Object({
  metadata: Type.Object({
    name: Type.String(),
    labels: Type.Optional(Type.Record(Type.String(), Type.String())),
  }),
  spec: Type.Object({
    ports: Type.Optional(
      Type.Array(Type.Object({ name: Type.Optional(Type.String()), port: Type.Integer() })),
    ),
    externalIPs: Type.Optional(Type.Array(Type.String())),
  }),
  status: Type.Optional(
    Type.Object({
      loadBalancer: Type.Optional(
        Type.Object({
          ingress: Type.Optional(
            Type.Array(
              Type.Object({ ip: Type.Optional(Type.String()), hostname: Type.Optional(Type.String()) }),
            ),
          ),
        }),
      ),
    }),
  ),
})

/**
 * Where the first gateway that has an address and leads to istiod is reached: an address, or the name of one. Those of
 * the revision come first; others lead to it as well, by the name that a sidecar asks for.
 */
function gatewayAddress(services: readonly unknown[], revision: string): FactSettings['address'] {
  const isOther = ({ labels }: { labels?: Record<string, string> }) =>
    revisionName(labels?.['istio.io/rev'] ?? '') === revisionName(revision) ? 0 : 1
  const usable = services
    .filter((service) => Value.Check(GatewayService, service))
    .sort(({ metadata: a }, { metadata: b }) => isOther(a) - isOther(b) || (a.name < b.name ? -1 : 1))
  for (const { spec, status } of usable) {
    const leads = spec.ports?.some(({ name, port }) => name === 'tls-istiod' || port === istiodPort)
    const port = spec.ports?.find(({ name }) => name === 'tls-istiod')?.port ?? istiodPort
    const ingress = status?.loadBalancer?.ingress?.find(({ ip, hostname }) => ip || hostname)
    const address = ingress?.ip || ingress?.hostname || spec.externalIPs?.[0]
    if (leads && address) return { address, port }
  }
  return undefined
}

function readTree(source: string | undefined): Tree | undefined {
  if (source === undefined) return undefined
  try {
    const value: unknown = parse(source, { maxAliasCount: 100 })
    return isTree(value) ? value : undefined
  } catch {
    return undefined
  }
}

function tree(value: unknown): Tree {
  return isTree(value) ? value : {}
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
