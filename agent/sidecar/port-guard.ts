import type { Bundle } from '../../shared/api/bundle.ts'
import { MooringError } from '../../shared/errors.ts'
import { type Listener, listeners, ownerOf } from '../host/ports.ts'
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

/** Reads the sockets of this network namespace below `proc`, usually /proc. */
export function createPortGuard(proc: string): PortGuard {
  return {
    async mustBeFree({ capture }) {
      const taken = inTheWay(await listeners(proc), { dns: capture.enabled && capture.dns })
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

/** The listeners that keep a sidecar from a port it needs, in the order of their ports. */
export function inTheWay(all: readonly Listener[], needs: { readonly dns: boolean }): readonly Listener[] {
  return all
    .filter(({ port, uid }) => ports.has(port) && uid !== sidecarUser.uid)
    .filter(({ port }) => port !== sidecarPorts.dns || needs.dns)
    .filter(({ protocol, port }) => protocol === 'tcp' || port === sidecarPorts.dns)
    .filter(({ port, reach }) => reach !== 'elsewhere' || !localPorts.has(port))
    .toSorted((a, b) => a.port - b.port)
}
