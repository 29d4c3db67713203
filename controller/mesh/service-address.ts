import { createHash } from 'node:crypto'
import { MooringError } from '../../shared/errors.ts'
import type { IstioObject } from './mesh.ts'

// 240.240.0.0/16, the range of Istio's own allocator (pilot/pkg/serviceregistry/serviceentry/ip_autoallocate.go),
// which does not run without Kubernetes. The first and last address stay unused.
const size = 2 ** 16 - 2

/** Key of a service: hosts of different namespaces are different services. */
export function serviceKey(namespace: string, host: string): string {
  return `${namespace}/${host}`
}

/**
 * The virtual address of a service. One that has an address in `taken` keeps it for ever; a new one gets
 * the first free address from a place that its name alone decides, so a lost directory gives most back.
 */
export function serviceAddress(key: string, taken: ReadonlyMap<string, string>): string {
  const known = taken.get(key)
  if (known !== undefined) return known
  const used = new Set(taken.values())
  const start = createHash('sha256').update(key).digest().readUInt32BE(0) % size
  for (let step = 0; step < size; step += 1) {
    const n = ((start + step) % size) + 1
    const address = `240.240.${n >> 8}.${n & 255}`
    if (!used.has(address)) return address
  }
  throw new MooringError('UNAVAILABLE', { detail: `all ${size} virtual addresses of services are in use` })
}

/**
 * The IPv6 address beside it, for VMs that have no IPv4: 2001:2::/48 is the other range of Istio's allocator. One is
 * made of the other, so that nothing more has to be kept.
 */
export function serviceAddress6(address: string): string {
  const [, , high = 0, low = 0] = address.split('.').map(Number)
  return `2001:2::f0f0:${((high << 8) | low).toString(16)}`
}

/** The addresses that written ServiceEntries hold: they are the record of who has which. */
export function assignedAddresses(objects: readonly IstioObject[]): Map<string, string> {
  const assigned = new Map<string, string>()
  for (const object of objects) {
    if (object.kind !== 'ServiceEntry') continue
    const { hosts, addresses } = object.spec as { hosts?: unknown[]; addresses?: unknown[] }
    const [host, address] = [hosts?.[0], addresses?.[0]]
    if (typeof host === 'string' && typeof address === 'string') {
      assigned.set(serviceKey(object.metadata.namespace, host), address)
    }
  }
  return assigned
}
