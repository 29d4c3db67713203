import { type ChildProcess, spawn } from 'node:child_process'
import { dirname, resolve } from 'node:path'
import { finished } from '../../testbed/command.ts'
import type { Cluster } from '../../testbed/kubernetes/cluster.ts'
import type { ClusterIstiod } from '../../testbed/kubernetes/istiod.ts'
import { podObject } from '../../testbed/kubernetes/pod.ts'
import type { ExecOptions, SpawnOptions } from '../../testbed/network/namespace.ts'
import type { Caller } from '../caller.ts'

const project = resolve(import.meta.dirname, '../../..')

export interface ClientPodDeps {
  readonly cluster: Cluster
  readonly istiod: ClusterIstiod
  /** Path of kubectl. */
  readonly kubectl: string
  readonly name: string
  readonly serviceAccount: string
}

/** Starts a pod with a sidecar as Istio injects it; programs run in it by `kubectl exec`. Returns when it is ready. */
export async function startClientPod(deps: ClientPodDeps): Promise<Caller> {
  const { cluster, istiod, name, serviceAccount } = deps
  const pod = podObject({
    name,
    labels: { app: name, 'sidecar.istio.io/inject': 'true' },
    serviceAccount,
    command: ['/bin/busybox', 'sleep', '2147483647'],
    hosts: [{ address: istiod.address, names: [istiod.host] }],
    // Node and the programs of the testbed, where they are.
    shares: [dirname(dirname(process.execPath)), project].map((from) => ({ from, at: from })),
  })
  const account = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: serviceAccount, namespace: 'default' },
  }
  await cluster.apply([account])
  await cluster.apply([pod])
  const wait = ['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=240s']
  await cluster.kubectl(wait, { timeoutMs: 250_000 })

  const run = (command: string, args: readonly string[] = [], options: SpawnOptions = {}): ChildProcess =>
    spawn(
      deps.kubectl,
      [
        ...['--kubeconfig', cluster.kubeconfig, 'exec', '--stdin', name, '--container', 'app', '--'],
        ...[command, ...args],
      ],
      { stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'] },
    )
  return {
    name,
    spawn: run,
    exec(command, args = [], { timeoutMs, input }: ExecOptions = {}) {
      const child = run(command, args, { stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] })
      return finished(child, `${command} (in pod ${name})`, {
        ...(timeoutMs !== undefined && { timeoutMs }),
        ...(input !== undefined && { input }),
      })
    },
  }
}
