import { readFile } from 'node:fs/promises'
import type { RequestOptions } from 'node:https'
import { dirname, resolve } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node'
import { parse } from 'yaml'
import { errorText, MooringError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'

/** Where the way to an API server is written down. */
export type KubeconfigSource =
  | { readonly file: string; readonly context?: string }
  /** The account of the pod that this runs in; `folder` holds its `token`, `ca.crt` and `namespace`. */
  | { readonly inCluster: { readonly host: string; readonly port: string; readonly folder: string } }
  /** A kubeconfig out of a Secret. What would run a program or read a file of this machine is refused. */
  | { readonly text: Secret; readonly context?: string }

/** How to reach an API server, and as whom; good for a minute or so, since tokens and certificates are renewed. */
export interface Access {
  readonly server: URL
  /** Namespace of the context, or of the pod. */
  readonly namespace: string | undefined
  /** Value of the `Authorization` header. */
  readonly authorization: Secret | undefined
  readonly impersonate: string | undefined
  readonly tls: TlsMaterial
}

export interface TlsMaterial {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: Secret | undefined
  readonly servername: string | undefined
  readonly rejectUnauthorized: boolean
}

/** Reads the source, and asks its authenticator; throws `CONFIG_INVALID` with what is wrong. */
export async function readAccess(source: KubeconfigSource): Promise<Access> {
  try {
    const config = await load(source)
    const context = config.getContextObject(config.getCurrentContext())
    const cluster = config.getCurrentCluster()
    const user = config.getCurrentUser()
    if (context === null || cluster === null || user === null) {
      throw invalid(`context ${config.getCurrentContext() || '(none)'} names no cluster or no user`)
    }
    if (!cluster.server.startsWith('https://')) throw invalid('the server of the cluster is not https')
    if (cluster.proxyUrl) throw invalid('proxy-url is not supported')
    const options: RequestOptions = {}
    await config.applyToHTTPSOptions(options)
    const headers = new Map(Object.entries(options.headers ?? {}).map(([k, v]) => [k.toLowerCase(), v]))
    const authorization = options.auth
      ? `Basic ${Buffer.from(options.auth).toString('base64')}`
      : headers.get('authorization')
    const impersonate = headers.get('impersonate-user')
    return {
      server: new URL(cluster.server),
      namespace: context.namespace?.trim() || undefined,
      // Files of tokens often end in a line break, which no header may hold.
      authorization: authorization === undefined ? undefined : new Secret(String(authorization).trim()),
      impersonate: impersonate === undefined ? undefined : String(impersonate),
      tls: {
        ca: options.ca?.toString(),
        cert: options.cert?.toString(),
        key: options.key === undefined ? undefined : new Secret(options.key.toString()),
        servername: options.servername,
        rejectUnauthorized: options.rejectUnauthorized ?? true,
      },
    }
  } catch (error) {
    if (error instanceof MooringError) throw error
    throw invalid(errorText(error), error)
  }
}

/** Whether both lead to the same connection: tokens may differ, they travel with each request. */
export function sameTls(a: Access, b: Access): boolean {
  return (
    a.server.href === b.server.href &&
    a.tls.ca === b.tls.ca &&
    a.tls.cert === b.tls.cert &&
    a.tls.key?.reveal() === b.tls.key?.reveal() &&
    a.tls.servername === b.tls.servername &&
    a.tls.rejectUnauthorized === b.tls.rejectUnauthorized
  )
}

async function load(source: KubeconfigSource): Promise<KubeConfig> {
  const config = new KubeConfig()
  if ('inCluster' in source) {
    config.loadFromOptions(await inCluster(source.inCluster))
    return config
  }
  const isFile = 'file' in source
  const tree = readTree(isFile ? await readFile(source.file, 'utf8') : source.text.reveal())
  const folder = isFile ? dirname(source.file) : undefined
  if (folder === undefined) refuseLocalParts(tree)
  else await takeTokenFiles(tree, folder)
  config.loadFromString(JSON.stringify(tree))
  if (folder !== undefined) config.makePathsAbsolute(folder)
  if (source.context !== undefined) config.setCurrentContext(source.context)
  return config
}

type Entry = Record<string, unknown>
type Tree = { readonly clusters: readonly Entry[]; readonly users: readonly Entry[] }

function readTree(text: string): Tree {
  const tree: unknown = parse(text, { maxAliasCount: 100 })
  const { clusters, users } = (tree ?? {}) as Partial<Tree>
  if (!Array.isArray(clusters) || !Array.isArray(users)) throw invalid('it lists no clusters, or no users')
  return tree as Tree
}

/** The client library does not know `tokenFile`, which kubectl reads. */
async function takeTokenFiles(tree: Tree, folder: string): Promise<void> {
  for (const { user } of tree.users as readonly { user?: Entry }[]) {
    if (user === undefined || typeof user.tokenFile !== 'string') continue
    user.token = (await readFile(resolve(folder, user.tokenFile), 'utf8')).trim()
  }
}

async function inCluster({ host, port, folder }: { host: string; port: string; folder: string }) {
  const name = 'in-cluster'
  const namespace = await readFile(`${folder}/namespace`, 'utf8').catch(() => undefined)
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`
  return {
    clusters: [{ name, server, caFile: `${folder}/ca.crt`, skipTLSVerify: false }],
    users: [{ name, token: await readFile(`${folder}/token`, 'utf8') }],
    contexts: [{ name, cluster: name, user: name, namespace }],
    currentContext: name,
  }
}

const inline: ReadonlySet<string> = new Set([
  'client-certificate-data',
  'client-key-data',
  'token',
  'username',
  'password',
  'as',
  'server',
  'tls-server-name',
  'certificate-authority-data',
  'insecure-skip-tls-verify',
  'disable-compression',
])

/** Who may write a Secret may not thereby run a program here, or have a file of this machine sent away. */
function refuseLocalParts(tree: Tree): void {
  for (const entry of [...tree.clusters, ...tree.users]) {
    const part = (entry.cluster ?? entry.user ?? {}) as Entry
    const wrong = Object.keys(part).find((key) => !inline.has(key))
    if (wrong !== undefined)
      throw invalid(`${wrong} is refused in a Secret: give tokens, keys and certificates as data`)
  }
}

function invalid(detail: string, cause?: unknown): MooringError {
  return new MooringError('CONFIG_INVALID', { detail: `kubeconfig: ${detail}`, cause })
}
