import { join } from 'node:path'
import type { Network } from '../network/network.ts'
import type { Cluster } from './cluster.ts'
import type { NodeParts } from './parts.ts'
import { createProgram, type Program } from './program.ts'

export interface ControllersDeps {
  readonly network: Network
  readonly cluster: Cluster
  readonly parts: Pick<NodeParts, 'controllerManager' | 'scheduler'>
  readonly signal?: AbortSignal | undefined
}

/** What makes pods out of Deployments, and gives them nodes and identities. */
export interface Controllers {
  readonly controllerManager: Program
  readonly scheduler: Program
  stop(): Promise<void>
}

/** Starts the controller manager and the scheduler, side by side, as the users whom Kubernetes knows them by. */
export async function startControllers(deps: ControllersDeps): Promise<Controllers> {
  const { network, cluster, parts } = deps
  const file = (name: string) => join(cluster.dir, name)
  const program = async (name: string, command: string, port: number, args: readonly string[]) => {
    const kubeconfig = await cluster.kubeconfigFor(`system:${name}`)
    return createProgram({
      name,
      namespace: network.host,
      command,
      args: [
        ...['--kubeconfig', kubeconfig, '--authentication-kubeconfig', kubeconfig],
        ...['--authorization-kubeconfig', kubeconfig, '--authentication-skip-lookup'],
        ...['--bind-address', '127.0.0.1', '--secure-port', String(port), '--cert-dir', file(name)],
        // There is one of each.
        ...['--leader-elect=false', ...args],
      ],
      logFile: file(`${name}.log`),
      isReady: async () => {
        const health = ['--silent', '--fail', '--insecure', `https://127.0.0.1:${port}/healthz`]
        return (await network.host.exec('curl', health)).code === 0
      },
      signal: deps.signal,
    })
  }
  const controllerManager = await program(
    'kube-controller-manager',
    parts.controllerManager,
    cluster.port + 200,
    [
      ...['--service-account-private-key-file', file('sa.key'), '--root-ca-file', file('ca.crt')],
      ...['--use-service-account-credentials'],
    ],
  )
  const scheduler = await program('kube-scheduler', parts.scheduler, cluster.port + 300, [])
  await Promise.all([controllerManager.start(), scheduler.start()])
  return {
    controllerManager,
    scheduler,
    async stop() {
      await Promise.all([controllerManager.kill(), scheduler.kill()])
    },
  }
}
