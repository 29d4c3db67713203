import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Nic } from '../../shared/api/join.ts'
import type { Clock } from '../../shared/clock.ts'
import { nics } from './facts.ts'

/** The addresses of the controller, as this VM resolves its name. */
export interface ControllerAddresses {
  /** The last known ones when the name cannot be resolved right now. */
  current(): Promise<readonly string[]>
}

type Address = Pick<Nic, 'address'>

const freshMs = 60_000

/** Resolves rarely: the capture rules ask every few seconds, and change with the answer. */
export function createControllerAddresses(host: string, clock: Pick<Clock, 'now'>): ControllerAddresses {
  const bare = host.replace(/^\[|\]$/g, '')
  let known: readonly string[] = isIP(bare) === 0 ? [] : [bare]
  let resolvedAt = isIP(bare) === 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  return {
    async current() {
      if (clock.now() - resolvedAt < freshMs) return known
      try {
        const found = await lookup(bare, { all: true })
        known = found.map(({ address }) => address).toSorted()
        resolvedAt = clock.now()
      } catch {
        // Rules with the old addresses are better than none.
      }
      return known
    },
  }
}

/** Whether this VM has an IPv6 address beyond loopback and link-local ones. */
export function hasIpv6(addresses: readonly Address[] = nics()): boolean {
  return addresses.some(({ address }) => isIP(address) === 6 && !/^fe[89ab]/i.test(address))
}

/**
 * Where the sidecar delivers: the pool's inbound listeners name 127.0.0.1, for which istiod puts ::1 on a VM that has
 * IPv6 addresses alone (istio pilot/pkg/networking/core/cluster.go, buildInboundClustersFromSidecar).
 */
export function deliveryAddress(addresses: readonly Address[] = nics()): string {
  // A VM whose link is down has neither.
  return !hasIpv4(addresses) && hasIpv6(addresses) ? '::1' : '127.0.0.1'
}

function hasIpv4(addresses: readonly Address[]): boolean {
  return addresses.some(({ address }) => isIP(address) === 4 && !address.startsWith('169.254.'))
}

const settledMs = 15_000

/**
 * The same for who asks every second: a look at all interfaces costs as much as the probe itself. A machine with an
 * IPv4 address is looked at rarely; one without may be about to get one.
 */
export function createDeliveryAddress(
  clock: Pick<Clock, 'now'>,
  look: () => readonly Address[] = nics,
): () => string {
  let settledAt = Number.NEGATIVE_INFINITY
  return () => {
    if (clock.now() - settledAt < settledMs) return '127.0.0.1'
    const addresses = look()
    if (hasIpv4(addresses)) settledAt = clock.now()
    return deliveryAddress(addresses)
  }
}
