import type { Bundle } from '../../shared/api/bundle.ts'
import { MooringError } from '../../shared/errors.ts'
import { type Listener, listeners, ownerOf, programOf } from '../host/ports.ts'
import { sidecarPorts, sidecarUser } from './paths.ts'

/** Sees to it that nobody else has the ports that the sidecar opens. */
export interface PortGuard {
  /** Throws `PORT_IN_USE`, with the ports and who has them. */
  mustBeFree(bundle: { readonly capture: Pick<Bundle['capture'], 'enabled' | 'dns'> }): Promise<void>
}

/**
 * Ports that are opened on 127.0.0.1 alone (istio pkg/bootstrap, pkg/dns/client, pkg/istio-agent): a program
 * with the same port on another address is in nobody's way.
 */
const localPorts: ReadonlySet<number> = new Set([sidecarPorts.admin, sidecarPorts.debug, sidecarPorts.dns])
const ports: ReadonlySet<number> = new Set(Object.values(sidecarPorts))

/**
 * Reads the sockets of this network namespace below `proc`, usually /proc. `versions` is where the sidecar's own programs
 * are: one that was there before Mooring runs as the same user, and a second Envoy beside it would take a part of its
 * connections, since Envoy shares its ports (SO_REUSEPORT).
 */
export function createPortGuard(proc: string, versions?: string): PortGuard {
  async function isForeign({ inode }: Listener): Promise<boolean> {
    const program = versions === undefined ? undefined : await programOf(proc, inode)
    return program !== undefined && !program.startsWith(`${versions}/`)
  }

  return {
    async mustBeFree({ capture }) {
      const needs = { dns: capture.enabled && capture.dns }
      const found = await listeners(proc)
      const others: Listener[] = []
      for (const listener of found) {
        if (listener.uid !== sidecarUser.uid || !ports.has(listener.port)) continue
        if (await isForeign(listener)) others.push(listener)
      }
      const taken = inTheWay(found, needs, new Set(others))
      if (taken.length === 0) return
      const words = await Promise.all(
        taken.map(async ({ port, uid, inode }) => {
          const owner = await ownerOf(proc, inode)
          return `${port} by ${owner ?? `another program of user ${uid}`}`
        }),
      )
      throw new MooringError('PORT_IN_USE', { detail: [...new Set(words)].join(', ') })
    },
  }
}

/**
 * The listeners that keep a sidecar from a port it needs, in the order of their ports. Those of the sidecar's user are
 * its own, but for the `others` among them.
 */
export function inTheWay(
  all: readonly Listener[],
  needs: { readonly dns: boolean },
  others: ReadonlySet<Listener> = new Set(),
): readonly Listener[] {
  return all
    .filter((listener) => ports.has(listener.port))
    .filter((listener) => listener.uid !== sidecarUser.uid || others.has(listener))
    .filter(({ port }) => port !== sidecarPorts.dns || needs.dns)
    .filter(({ protocol, port }) => protocol === 'tcp' || port === sidecarPorts.dns)
    .filter(({ port, reach }) => reach !== 'elsewhere' || !localPorts.has(port))
    .toSorted((a, b) => a.port - b.port)
}
