/**
 * A node with real pods, on the bridge of the VMs: containerd, runc, the bridge plugin and a kubelet.
 *
 *     const parts = await ensureNodeParts({ progress })               // cached
 *     const node = await startNode({ network, cluster, parts })       // Ready; needs `startControllers` to get pods
 *     await node.importImage('dist/controller.oci.tar')               // pods use it with imagePullPolicy: Never
 *     await cluster.apply([podObject({ name: 'a', ... })])            // pod.ts; or any object
 *     await cluster.kubectl(['wait', '--for=condition=Ready', 'pod/a', '--timeout=120s'])
 *     await node.stop()                                               // or network.close(), or the reaper
 *
 * All its programs live in a process and a mount namespace of their own, which end with their first process: so no
 * shim, pod or mount outlives it, and none of its files is where this machine's own containerd would have them.
 */
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { type CommandResult, mustRun } from '../command.ts'
import { networks } from '../network/addresses.ts'
import { createNamespace } from '../network/namespace.ts'
import type { Network } from '../network/network.ts'
import { fullPath } from '../on-path.ts'
import { TestbedError } from '../testbed-error.ts'
import type { Cluster } from './cluster.ts'
import { createNodeGroups, removeNodeGroups } from './control-groups.ts'
import { firstProcess } from './node-init.ts'
import { cniConfig, containerdConfig, kubeletConfig, nodeDir, nodeName } from './node-settings.ts'
import type { NodeParts } from './parts.ts'
import { createProgram } from './program.ts'

export interface ClusterNode {
  readonly name: string
  /** Folder of its files and logs: `kubelet.log`, `containerd.log`. */
  readonly dir: string
  /** Control group that everything of its pods is below of. */
  readonly group: string
  /** Runs a program among those of the node; any exit code other than 0 is an error. */
  exec(
    command: string,
    args?: readonly string[],
    options?: { readonly timeoutMs?: number },
  ): Promise<CommandResult>
  /** Gives it an image out of an OCI or Docker archive. */
  importImage(archive: string): Promise<void>
  /** Ends it with all its pods, without a word to them. */
  stop(): Promise<void>
}

export interface ClusterNodeDeps {
  readonly network: Network
  readonly cluster: Cluster
  readonly parts: NodeParts
  readonly signal?: AbortSignal
}

const kubeletPort = 10250
const importLimitMs = 5 * 60_000

/** Makes a node and returns when it is Ready and has the testbed's images. */
export async function startNode(deps: ClusterNodeDeps): Promise<ClusterNode> {
  const { network, cluster, parts, signal } = deps
  const dir = join(network.hostDir, 'node')
  const group = nodeGroup(network)
  await mkdir(dir).catch((cause) => {
    throw new TestbedError('ADDRESS_IN_USE', `${network.id} has a node already`, cause)
  })
  await writeFiles(dir, group, cluster)
  await createNodeGroups(group)
  await reachApiServer(network, cluster)

  const program = createProgram({
    name: nodeName,
    namespace: createNamespace({
      name: network.host.name,
      machine: {
        hostname: nodeName,
        replacedFiles: [{ path: '/etc/hosts', by: join(cluster.dir, 'hosts') }],
      },
    }),
    command: 'unshare',
    args: [
      ...[
        '--pid',
        '--fork',
        '--kill-child',
        '--mount',
        '--mount-proc',
        '--',
        'sh',
        '-c',
        firstProcess,
        'sh',
        dir,
      ],
      ...['runtime', parts.runtime, 'kubelet-files', dirname(parts.kubelet), 'images', dirname(parts.images)],
    ],
    logFile: join(dir, 'node.log'),
    isReady: async () => (await exec('ctr', ['version'])).code === 0,
    signal,
  })

  async function exec(
    command: string,
    args: readonly string[] = [],
    options: { readonly timeoutMs?: number } = {},
  ): Promise<CommandResult> {
    const first = await firstPid(program.pid)
    return mustRun(
      'nsenter',
      [`--target=${first}`, '--mount', '--pid', '--uts', '--net', '--', command, ...args],
      {
        env: { PATH: `/run/runtime/usr/bin:/run/runtime/usr/sbin:${fullPath(process.env.PATH)}` },
        ...options,
        ...(signal === undefined ? {} : { signal }),
      },
    )
  }

  async function importFrom(path: string): Promise<void> {
    await exec('ctr', ['--namespace', 'k8s.io', 'images', 'import', path], { timeoutMs: importLimitMs })
  }

  async function stop(): Promise<void> {
    await program.kill()
    await removeNodeGroups(group)
  }

  try {
    await program.start()
    await importFrom('/run/images/images.tar')
    await registered()
  } catch (error) {
    const log = await readFile(join(dir, 'kubelet.log'), 'utf8').catch(() => '')
    await stop()
    const detail = `${error}\n${log.trimEnd().split('\n').slice(-15).join('\n')}`
    throw new TestbedError('PROGRAM_FAILED', detail, error)
  }

  async function registered(): Promise<void> {
    const wait = ['--for=condition=Ready', `node/${nodeName}`, '--timeout=180s']
    await cluster.kubectl(['wait', '--for=create', `node/${nodeName}`, '--timeout=180s'], {
      timeoutMs: 200_000,
    })
    await cluster.kubectl(['wait', ...wait], { timeoutMs: 200_000 })
  }

  return {
    name: nodeName,
    dir,
    group,
    exec,
    async importImage(archive) {
      // Its folder may be one that the node has replaced by its own; its first process sees what we see nowhere else.
      const given = join(dir, 'import.tar')
      await mustRun('cp', ['--reflink=auto', resolve(archive), given])
      await importFrom(`${nodeDir}/import.tar`)
    },
    stop,
  }
}

/** The control group of a network's node. */
export function nodeGroup(network: { readonly id: string }): string {
  return `mooring-${network.id}-node`
}

async function writeFiles(dir: string, group: string, cluster: Cluster): Promise<void> {
  for (const name of ['run', 'cni', 'var/lib/kubelet', 'var/log', 'var/tmp', 'var/cache'])
    await mkdir(join(dir, name), { recursive: true })
  await symlink('/run', join(dir, 'var/run'))
  const write = (name: string, text: string) => writeFile(join(dir, name), text, { mode: 0o600 })
  await write('containerd.toml', containerdConfig)
  await write('cni/10-testbed.conflist', JSON.stringify(cniConfig))
  await write('kubelet.json', JSON.stringify(kubeletConfig({ group, port: kubeletPort })))
  // Nobody answers there: what the sidecar does not know fails at once.
  await write('resolv.conf', `nameserver ${networks.brm.host}\noptions timeout:1 attempts:1\n`)
  const kubeconfig = await cluster.kubeconfigFor(`system:node:${nodeName}`, ['system:nodes'])
  await write('kubelet.kubeconfig', await readFile(kubeconfig, 'utf8'))
}

/** There is no kube-proxy: the one address of a Service that pods get by their environment leads to the API server. */
async function reachApiServer(network: Network, cluster: Cluster): Promise<void> {
  const to = [
    '-d',
    '10.96.0.1/32',
    '-p',
    'tcp',
    '--dport',
    '443',
    '-j',
    'REDIRECT',
    '--to-ports',
    `${cluster.port}`,
  ]
  for (const chain of ['PREROUTING', 'OUTPUT']) {
    const { code, stderr } = await network.host.exec('iptables', ['-t', 'nat', '-A', chain, ...to])
    if (code !== 0) throw new TestbedError('COMMAND_FAILED', `iptables: ${stderr.trim()}`)
  }
}

/** The first process of the node's own process namespace, as seen from here. */
async function firstPid(parent: number | undefined): Promise<number> {
  const children = await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8').catch(() => '')
  const first = Number(children.trim().split(' ')[0])
  if (parent === undefined || !(first > 0)) throw new TestbedError('MACHINE_OFF', nodeName)
  return first
}
