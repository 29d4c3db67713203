import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Clock } from '../../shared/clock.ts'
import { nics } from './facts.ts'

/** The addresses of the controller, as this VM resolves its name. */
export interface ControllerAddresses {
  /** The last known ones when the name cannot be resolved right now. */
  current(): Promise<readonly string[]>
}

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
export function hasIpv6(): boolean {
  return nics().some(({ address }) => isIP(address) === 6 && !/^fe[89ab]/i.test(address))
}
