/**
 * A Kubernetes control plane: etcd and a real API server with RBAC on and Istio's definitions in it.
 *
 *     const parts = await ensureClusterParts({ progress })             // cached: minutes once, then milliseconds
 *     const network = await createNetwork({ name: 'scene' })           // the cluster lives on its host, and dies with it
 *     const cluster = await startCluster({ network, parts })           // a few seconds
 *     cluster.url; cluster.ca; cluster.kubeconfig                      // the admin's; reached from tests, host and VMs
 *     await cluster.kubeconfigFor('jane', ['ops'])                     // any user: a certificate; RBAC says what she may
 *     await cluster.kubeconfigFor('system:serviceaccount:shop:web')    // a service account: a token, made where missing
 *     await cluster.tokenFor('shop', 'web', { audience: 'istio-ca' })  // TokenRequest; `users` have lasting tokens
 *     await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }])  // or YAML text
 *     await cluster.kubectl(['get', 'pods', '-A'], { kubeconfig })     // any command; the admin's by default
 *     cluster.apiServer.pause(); cluster.apiServer.resume(); await cluster.apiServer.kill(); await cluster.apiServer.start()
 *     await cluster.etcd.restart(); await cluster.stop()               // or network.close(), or the reaper
 *
 * Several clusters may live on one host: they have ports of their own.
 */
import { randomBytes } from 'node:crypto'
import { appendFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type CommandResult, mustRun } from '../command.ts'
import { createNamespace } from '../network/namespace.ts'
import type { Network } from '../network/network.ts'
import { TestbedError } from '../testbed-error.ts'
import { createApiServer, type TokenUser } from './api-server.ts'
import { type Authority, createAuthority } from './authority.ts'
import { createEtcd } from './etcd.ts'
import { type Credentials, kubeconfigText } from './kubeconfig.ts'
import type { ClusterParts } from './parts.ts'
import type { Program } from './program.ts'

export interface Cluster {
  /** Where the API server is reached from where tests run, from the host, and from VMs. */
  readonly url: string
  /** The API server's. */
  readonly port: number
  /** The authority of the API server's certificate, PEM. */
  readonly ca: string
  readonly authority: Authority
  /** Path of the admin's kubeconfig. */
  readonly kubeconfig: string
  /** Folder of everything of it on disk. */
  readonly dir: string
  /** Lasting tokens of the users it was started with, and of `admin`. */
  readonly tokens: Readonly<Record<string, string>>
  readonly etcd: Program
  readonly apiServer: Program
  /** Path of a new kubeconfig of that user; groups are for users that are no service accounts. */
  kubeconfigFor(user: string, groups?: readonly string[]): Promise<string>
  /** A token of a service account, which is made first where there is none, with its namespace. */
  tokenFor(namespace: string, serviceAccount: string, options?: TokenOptions): Promise<string>
  /** Runs kubectl; any exit code other than 0 is an error that carries what was said. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<CommandResult>
  /** Server-side apply, as the admin: objects, or YAML. */
  apply(objects: readonly object[] | string): Promise<void>
  /** Makes a name known on the machine of the control plane, and on its nodes. */
  addHost(address: string, names: readonly string[]): Promise<void>
  /** Ends its programs; its files stay until the network closes. */
  stop(): Promise<void>
}

export interface TokenOptions {
  /** @defaultValue the API server itself */
  readonly audience?: string
  /** @defaultValue 3600 */
  readonly seconds?: number
}

export interface KubectlOptions {
  /** @defaultValue the admin's */
  readonly kubeconfig?: string
  readonly input?: string
  /** @defaultValue 120000 */
  readonly timeoutMs?: number
}

export interface ClusterDeps {
  readonly network: Network
  readonly parts: ClusterParts
  /** Users beside `admin` who have a lasting token. */
  readonly users?: readonly { readonly name: string; readonly groups?: readonly string[] }[]
  /** Whether Istio's definitions are in it. @defaultValue true */
  readonly istio?: boolean
  readonly signal?: AbortSignal
}

const firstApiPort = 16443
const firstEtcdPort = 12379
const maxClusters = 10
const hourSeconds = 3600
const establishedLimitMs = 90_000
const pollMs = 200

/** Starts a cluster without nodes, and returns when it serves. */
export async function startCluster(deps: ClusterDeps): Promise<Cluster> {
  const { network, parts, signal } = deps
  const { dir, number } = await claimFolder(network)
  const port = firstApiPort + number
  const url = `https://${network.uplink.inside}:${port}`
  const authority = await createAuthority(`testbed cluster ${number}`)
  const users: readonly TokenUser[] = [
    { name: 'admin', groups: ['system:masters'], token: newToken() },
    ...(deps.users ?? []).map(({ name, groups = [] }) => ({ name, groups, token: newToken() })),
  ]
  const tokens = Object.fromEntries(users.map(({ name, token }) => [name, token]))
  const hosts = join(dir, 'hosts')
  await writeFile(hosts, '127.0.0.1 localhost\n')
  const etcd = createEtcd({
    host: network.host,
    etcd: parts.etcd,
    dir,
    port: firstEtcdPort + 2 * number,
    signal,
  })
  const apiServer = await createApiServer({
    // Webhooks are called by names, which no DNS knows.
    host: createNamespace({
      name: network.host.name,
      machine: { hostname: 'control-plane', replacedFiles: [{ path: '/etc/hosts', by: hosts }] },
    }),
    command: parts.apiServer,
    dir,
    port,
    etcdUrl: etcd.url,
    authority,
    addresses: [network.hostAddress, network.uplink.inside],
    url,
    users,
    signal,
  })

  let kubeconfigs = 0
  async function writeKubeconfig(user: string, credentials: Credentials, name?: string): Promise<string> {
    const path = join(dir, name ?? `user-${kubeconfigs++}.kubeconfig`)
    const text = kubeconfigText({ url, ca: authority.certificate, user, credentials })
    await writeFile(path, text, { mode: 0o600 })
    return path
  }
  const kubeconfig = await writeKubeconfig('admin', { token: tokens.admin ?? '' }, 'admin.kubeconfig')

  function kubectl(args: readonly string[], options: KubectlOptions = {}): Promise<CommandResult> {
    const { input, timeoutMs = 120_000 } = options
    return mustRun(parts.kubectl, ['--kubeconfig', options.kubeconfig ?? kubeconfig, ...args], {
      // Nothing that a person set for clusters of their own.
      env: { HOME: dir, PATH: process.env.PATH },
      timeoutMs,
      ...(input === undefined ? {} : { input }),
      ...(signal === undefined ? {} : { signal }),
    })
  }

  async function apply(objects: readonly object[] | string): Promise<void> {
    const input =
      typeof objects === 'string' ? objects : objects.map((each) => JSON.stringify(each)).join('\n---\n')
    await kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input })
  }

  async function tokenFor(
    namespace: string,
    serviceAccount: string,
    options: TokenOptions = {},
  ): Promise<string> {
    const { audience, seconds = hourSeconds } = options
    await apply([
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: serviceAccount, namespace } },
    ])
    const forWhom = audience === undefined ? [] : ['--audience', audience]
    const request = [
      'create',
      'token',
      serviceAccount,
      '-n',
      namespace,
      '--duration',
      `${seconds}s`,
      ...forWhom,
    ]
    return (await kubectl(request)).stdout.trim()
  }

  async function kubeconfigFor(user: string, groups: readonly string[] = []): Promise<string> {
    const [, namespace, account] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user) ?? []
    if (namespace !== undefined && account !== undefined)
      return writeKubeconfig(user, {
        token: await tokenFor(namespace, account, { seconds: 24 * hourSeconds }),
      })
    return writeKubeconfig(user, await authority.issue({ commonName: user, organizations: groups }))
  }

  async function established(): Promise<void> {
    const end = performance.now() + establishedLimitMs
    for (;;) {
      try {
        await kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=90s'])
        return
      } catch (error) {
        // kubectl fails on a definition that the API server has not looked at yet, and has no conditions.
        if (performance.now() > end) throw error
        await sleep(pollMs, undefined, signal === undefined ? {} : { signal })
      }
    }
  }

  async function stop(): Promise<void> {
    // Nothing of it is needed again, and in order they would wait for each other.
    await Promise.all([apiServer.kill(), etcd.kill()])
  }

  try {
    await etcd.start()
    await apiServer.start()
    if (deps.istio ?? true) {
      await kubectl(['apply', '--server-side', '-f', parts.crds])
      await established()
    }
  } catch (error) {
    await stop()
    throw error
  }
  return {
    url,
    port,
    ca: authority.certificate,
    authority,
    kubeconfig,
    dir,
    tokens,
    etcd,
    apiServer,
    kubeconfigFor,
    tokenFor,
    kubectl,
    apply,
    addHost: (address, names) => appendFile(hosts, `${address} ${names.join(' ')}\n`),
    stop,
  }
}

async function claimFolder(network: Network): Promise<{ dir: string; number: number }> {
  for (let number = 0; number < maxClusters; number++) {
    const dir = join(network.hostDir, `cluster-${number}`)
    const made = await mkdir(dir).then(
      () => true,
      () => false,
    )
    if (made) return { dir, number }
  }
  throw new TestbedError('ADDRESS_IN_USE', `${network.id} has ${maxClusters} clusters already`)
}

function newToken(): string {
  return randomBytes(24).toString('hex')
}
