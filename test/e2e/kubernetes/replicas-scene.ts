import type { ControllerProcess } from '../../world/controller-process.ts'
import { createController } from '../../world/controller-process.ts'
import type { Member } from '../../world/member.ts'
import { createOperator, type Operator } from '../../world/operator.ts'
import { waitFor } from '../../world/waiting.ts'
import { createKubernetesWorld, type KubernetesWorld } from './controller-scene.ts'

/** One of several controllers of a cluster. */
export interface Replica {
  readonly process: ControllerProcess
  readonly operator: Operator
  readonly port: number
}

/** A world with two controllers behind one address, spread as a Service of Kubernetes does it. */
export interface ReplicatedWorld extends KubernetesWorld {
  readonly replicas: readonly [Replica, Replica]
  /** A VM that knows the common address alone; its first stream is to come to this replica. */
  bootAt(replica: Replica, name: string, pool: string): Promise<Member>
  /** New connections of this VM go to any replica again. */
  release(member: Member): Promise<void>
  /** Who leads, by the Lease; empty when nobody does. */
  leader(): Promise<string>
  /** Name of the replica that has the VM's stream. */
  ownerOf(vm: string, namespace?: string): Promise<string>
}

const spreadPort = 8440

export async function createReplicatedWorld(name: string): Promise<ReplicatedWorld> {
  const world = await createKubernetesWorld({ name })
  try {
    const { network, parts, sidecar, controller, operator, cluster, access } = world
    const port = 8444
    const second = await createController({
      ...{ network, parts, sidecar, port, cluster: access },
      name: 'controller-2',
    })
    await second.start()
    const replicas = [
      { process: controller, operator, port: 8443 },
      {
        process: second,
        port,
        operator: createOperator({
          url: second.operatorUrl,
          ca: second.ca,
          token: operator.token,
        }),
      },
    ] as const
    const iptables = (...args: readonly string[]) =>
      network.host.exec('iptables', ['-w', '10', '-t', 'nat', ...args])
    const common = ['PREROUTING', '-p', 'tcp', '-d', network.hostAddress, '--dport', String(spreadPort)]
    const to = (port: number) => ['-j', 'REDIRECT', '--to-ports', String(port)]
    // As kube-proxy does it: by chance, and without a word of who is there.
    const half = ['-m', 'statistic', '--mode', 'random', '--probability', '0.5']
    await iptables('-A', ...common, ...half, ...to(replicas[0].port))
    await iptables('-A', ...common, ...to(replicas[1].port))
    const places = new Map<string, readonly string[]>()

    const kubectl = async (...args: readonly string[]) => (await cluster.kubectl(args)).stdout.trim()
    return {
      ...world,
      replicas,
      async bootAt(replica, name, pool) {
        const url = `https://${network.hostAddress}:${spreadPort}`
        const member = await world.prepare(name, pool, {
          config: { controller: { url, pin: controller.pin } },
        })
        const rule = [...common, '-s', member.vm.address, ...to(replica.port)]
        await iptables('-I', ...rule)
        places.set(name, rule)
        if (pool === 'servers') await member.startApp()
        await member.startAgent()
        await member.waitPhase('ready')
        await world.bake(member)
        return member
      },
      async release(member) {
        const rule = places.get(member.name)
        if (rule !== undefined) await iptables('-D', ...rule)
        places.delete(member.name)
      },
      leader: () =>
        kubectl(
          'get',
          'lease',
          'mooring-controller',
          '-n',
          access.namespace,
          '-o',
          'jsonpath={.spec.holderIdentity}',
        ),
      ownerOf: (vm, namespace = 'default') =>
        kubectl('get', 'vm', vm, '-n', namespace, '-o', 'jsonpath={.status.stream.owner}'),
      async close() {
        await second.kill()
        await world.close()
      },
    }
  } catch (error) {
    await world.close()
    throw error
  }
}

/** Waits until somebody else than `before` leads; returns the name, and how long it took in milliseconds. */
export async function nextLeader(
  world: ReplicatedWorld,
  before: string,
): Promise<{ readonly name: string; readonly ms: number }> {
  const began = performance.now()
  const name = await waitFor(
    async () => {
      const holder = await world.leader()
      return holder !== '' && holder !== before && holder
    },
    { what: 'another replica to lead', everyMs: 100 },
  )
  return { name, ms: Math.round(performance.now() - began) }
}
