import { isIPv6 } from 'node:net'
import type { Bundle } from '../../shared/api/bundle.ts'
import { sidecarPorts, sidecarUser } from '../sidecar/paths.ts'

/** What the rules depend on besides the bundle. */
export interface CaptureFacts {
  /** Where the agent reaches the controller; addresses, not names. */
  readonly controllerAddresses: readonly string[]
  /** Of resolv.conf: istio-iptables reads it too, and captures DNS only towards these. */
  readonly nameservers: readonly string[]
  /** Whether the VM has an IPv6 address beyond loopback and link-local ones. */
  readonly ipv6: boolean
}

/** Arguments for pilot-agent; two captures with equal arguments and basis are the same. */
export interface CaptureRules {
  readonly apply: readonly string[]
  /** Takes back exactly what `apply` made. */
  readonly cleanup: readonly string[]
  /** What decides the rules besides the arguments. */
  readonly basis: string
}

/** SSH: whoever mends a VM must be able to reach it. */
const inboundNever = [22, ...Object.values(sidecarPorts)] as const

/**
 * Never through Envoy: cloud metadata, which identifies the machine by the very packet. Link-local as a whole
 * (AWS, Azure, GCP, OpenStack), Azure's wire server, Alibaba's and AWS's IPv6 metadata addresses.
 */
const outboundNever = [
  '169.254.0.0/16',
  '168.63.129.16/32',
  '100.100.100.200/32',
  'fe80::/10',
  'fd00:ec2::254/128',
] as const

/**
 * Arguments of `pilot-agent istio-iptables` (istio tools/istio-iptables/pkg/cmd/root.go): everything in and
 * out goes through Envoy, but for what is listed.
 */
export function captureRules(bundle: Bundle, facts: CaptureFacts): CaptureRules {
  const { capture } = bundle
  const base = [
    'istio-iptables',
    ...['-p', String(sidecarPorts.outbound)],
    ...['-z', String(sidecarPorts.inbound)],
    ...['-u', String(sidecarUser.uid)],
    ...['-g', String(sidecarUser.gid)],
    ...['-m', 'REDIRECT'],
    ...['-i', '*'],
    ...[
      '-x',
      sorted([...outboundNever, ...facts.controllerAddresses.map(host), ...capture.excludeOutboundCidrs]),
    ],
    ...['-b', '*'],
    ...['-d', sorted([...inboundNever, ...capture.excludeInboundPorts])],
    ...(capture.excludeOutboundPorts.length > 0 ? ['-o', sorted(capture.excludeOutboundPorts)] : []),
    ...(capture.excludeInterfaces.length > 0 ? ['-c', sorted(capture.excludeInterfaces)] : []),
    ...(capture.dns ? ['--redirect-dns'] : []),
    ...(facts.ipv6 && hasIpv6Listeners(bundle) ? ['--dual-stack'] : []),
  ]
  return {
    apply: [...base, '--reconcile'],
    cleanup: [...base, '--cleanup-only'],
    basis: capture.dns ? sorted(facts.nameservers) : '',
  }
}

/**
 * Whether Envoy listens on IPv6: for a workload with such an address, and in a mesh of both families. Elsewhere
 * captured IPv6 packets would meet a closed port, and a VM that is managed over IPv6 would be cut off.
 */
function hasIpv6Listeners({ workload, mesh }: Bundle): boolean {
  return isIPv6(workload.address) || mesh.environment.ISTIO_DUAL_STACK === 'true'
}

function host(address: string): string {
  return `${address}/${isIPv6(address) ? 128 : 32}`
}

/** A list as istio-iptables reads it. The same set gives the same text. */
function sorted(values: readonly (string | number)[]): string {
  return [...new Set(values.map(String))]
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .join(',')
}
