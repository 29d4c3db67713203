import type { Readable } from 'node:stream'
import type { Cluster } from '../../testbed/kubernetes/cluster.ts'
import { networks } from '../../testbed/network/addresses.ts'
import { setKernel } from '../../testbed/network/ip.ts'
import type { Network } from '../../testbed/network/network.ts'

export interface RoutedService {
  readonly network: Network
  readonly cluster: Cluster
  readonly kubectl: string
  readonly namespace: string
  readonly name: string
  readonly port: number
}

interface Slice {
  /** Null where there are none. */
  readonly endpoints: readonly Endpoint[] | null
}

interface Endpoint {
  readonly addresses: readonly string[]
  readonly conditions?: { readonly ready?: boolean }
}

const chain = 'TESTBED-SERVICE'

/**
 * Stands in for kube-proxy and a load balancer, which the testbed has not: leads the port of the host's addresses to
 * the ready pods of a Service, with the callers' addresses kept, as `externalTrafficPolicy: Local` does.
 */
export async function routeService(service: RoutedService): Promise<void> {
  const { network, cluster, kubectl, namespace, name, port } = service
  const { host } = network
  const iptables = async (...args: readonly string[]) => {
    const { code, stderr } = await host.exec('iptables', ['-w', '-t', 'nat', ...args])
    if (code !== 0) throw new Error(`iptables ${args.join(' ')}: ${stderr.trim()}`)
  }
  const links = await host.exec('ip', ['-o', '-4', 'addr', 'show', 'to', network.uplink.inside])
  const uplink = /^\d+: ([^\s@:]+)/.exec(links.stdout)?.[1] ?? ''
  await setKernel(host.name, {
    'ipv4.conf.brm.forwarding': '1',
    [`ipv4.conf.${uplink}.forwarding`]: '1',
    // Answers of pods to VMs do not leave the bridge: they too get the Service's address back.
    'bridge.bridge-nf-call-iptables': '1',
  })
  await iptables('-N', chain)
  for (const address of [networks.brm.host, network.uplink.inside])
    await iptables('-A', 'PREROUTING', '-d', address, '-p', 'tcp', '--dport', String(port), '-j', chain)

  let present: readonly string[] = []
  let work = Promise.resolve()
  const lead = async (pods: readonly string[]) => {
    if (pods.join() === present.join()) return
    // The new ones come before the old ones go: there is no moment without any.
    for (const [i, pod] of pods.entries()) {
      const chance =
        i === pods.length - 1
          ? []
          : ['-m', 'statistic', '--mode', 'random', '--probability', String(1 / (pods.length - i))]
      const to = ['-j', 'DNAT', '--to-destination', `${pod}:8443`]
      await iptables('-I', chain, String(i + 1), '-p', 'tcp', ...chance, ...to)
    }
    for (const _ of present) await iptables('-D', chain, String(pods.length + 1))
    present = pods
  }

  // A process of the host: it ends with the network.
  const watching = host.spawn(
    kubectl,
    [
      ...['--kubeconfig', cluster.kubeconfig, 'get', 'endpointslices', '-n', namespace, '--watch'],
      ...['-l', `kubernetes.io/service-name=${name}`, '-o', 'json'],
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  readObjects<Slice>(watching.stdout as Readable, ({ endpoints }) => {
    const ready = (endpoints ?? []).filter(({ conditions }) => conditions?.ready === true)
    const pods = ready.flatMap(({ addresses }) => addresses).toSorted()
    work = work.then(() => lead(pods)).catch((error: unknown) => console.error(error))
  })
}

/** Reads indented JSON objects, one after the other, each of which ends at the margin. */
function readObjects<T>(from: Readable, take: (object: T) => void): void {
  let text = ''
  from.setEncoding('utf8').on('data', (part: string) => {
    text += part
    for (let end = text.indexOf('\n}\n'); end >= 0; end = text.indexOf('\n}\n')) {
      take(JSON.parse(text.slice(0, end + 2)) as T)
      text = text.slice(end + 3)
    }
  })
}
