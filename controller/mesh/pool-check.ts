import type { WorkloadPort } from '../../shared/api/bundle.ts'
import type { PoolSpec } from '../../shared/api/operator.ts'
import { MooringError } from '../../shared/errors.ts'
import { rootNamespace } from './objects.ts'

// Istio's own ports on a VM (istio.io "Ports used by Istio"), and SSH, which is never captured: a service
// there would get its peers' TLS handshake unopened.
const sidecarPorts = new Set([15000, 15001, 15004, 15006, 15020, 15021, 15053, 15090])
const ssh = 22

const hostPattern = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/
const labelName = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
const localityPattern = /^[^/*\s]+(\/[^/*\s]+){0,2}$/

/**
 * Throws when istiod would not take the pool's objects. What its schema lets through must be refused here:
 * in standalone mode a single object that istiod cannot accept stops every reload of its directory.
 */
export function checkPool(name: string, spec: PoolSpec, others: ReadonlyMap<string, PoolSpec>): void {
  if (spec.namespace === rootNamespace) refuse(`namespace ${rootNamespace} is istiod's own`)
  if (spec.locality !== undefined && !localityPattern.test(spec.locality)) {
    refuse(`locality ${spec.locality} is not region/zone/subzone`)
  }
  checkLabels(spec.labels ?? {})
  if (spec.service === undefined) return
  checkHost(spec.service.host)
  checkPorts(spec.service.ports)
  for (const [otherName, other] of others) {
    if (otherName === name || other.namespace !== spec.namespace) continue
    if (other.service?.host === spec.service.host) checkShared(spec.service, otherName, other.service)
  }
}

function checkLabels(labels: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(labels)) {
    const slash = key.indexOf('/')
    const prefix = slash === -1 ? undefined : key.slice(0, slash)
    if (prefix === 'mesh.mooring') refuse(`label ${key} is Mooring's own`)
    if (prefix !== undefined && !hostPattern.test(prefix)) refuse(`label ${key} has no valid prefix`)
    if (!labelName.test(key.slice(slash + 1))) refuse(`label ${key} is not a valid key`)
    if (value !== '' && !labelName.test(value)) refuse(`label ${key} has no valid value`)
  }
}

function checkHost(host: string): void {
  if (!hostPattern.test(host)) refuse(`service.host ${host} is not a DNS name`)
}

function checkPorts(ports: readonly WorkloadPort[]): void {
  const names = new Set<string>()
  const numbers = new Set<number>()
  const protocolOf = new Map<number, string>()
  for (const port of ports) {
    const target = port.target ?? port.number
    if (names.has(port.name)) refuse(`two ports of the service are named ${port.name}`)
    if (numbers.has(port.number)) refuse(`port ${port.number} of the service is there twice`)
    if (sidecarPorts.has(target)) refuse(`port ${port.name}: ${target} belongs to the sidecar`)
    if (target === ssh) refuse(`port ${port.name}: port ${ssh} is never captured, so no peer can reach it`)
    if ((protocolOf.get(target) ?? port.protocol) !== port.protocol) {
      refuse(`port ${port.name}: ${target} has another protocol already`)
    }
    names.add(port.name)
    numbers.add(port.number)
    protocolOf.set(target, port.protocol)
  }
}

type Service = NonNullable<PoolSpec['service']>

/** Pools of one host share a ServiceEntry: its ports must be the same; what they target may differ. */
function checkShared(mine: Service, otherName: string, theirs: Service): void {
  const differing = [...mine.ports, ...theirs.ports].find(
    (port) => !mine.ports.some((p) => samePort(p, port)) || !theirs.ports.some((p) => samePort(p, port)),
  )
  if (differing === undefined) return
  throw new MooringError('REQUEST_INVALID', {
    detail: `pool ${otherName} has the same host ${mine.host}, but port ${differing.number} (${differing.name}, ${differing.protocol}) is not in both`,
  })
}

function samePort(a: WorkloadPort, b: WorkloadPort): boolean {
  return a.number === b.number && a.name === b.name && a.protocol === b.protocol
}

function refuse(detail: string): never {
  throw new MooringError('REQUEST_INVALID', { detail })
}
