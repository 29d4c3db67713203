import { generateKeyPair } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Namespace } from '../network/namespace.ts'
import type { Authority } from './authority.ts'
import { createProgram, type Program } from './program.ts'

/** A user whom the API server knows by a token. */
export interface TokenUser {
  readonly name: string
  readonly groups: readonly string[]
  readonly token: string
}

export interface ApiServerDeps {
  readonly host: Namespace
  readonly command: string
  /** Gets its files and its log. */
  readonly dir: string
  readonly port: number
  readonly etcdUrl: string
  readonly authority: Authority
  /** Where it is reached; the first is the one it tells others. */
  readonly addresses: readonly string[]
  readonly url: string
  readonly users: readonly TokenUser[]
  readonly signal?: AbortSignal | undefined
}

/** What the names of a cluster's service accounts end with, and who their tokens are for by default. */
export const serviceAccountIssuer = 'https://kubernetes.default.svc'

const serviceRange = '10.96.0.0/16'
const names = ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc']

/** Makes an API server with RBAC on, whose keys stay the same over its starts. */
export async function createApiServer(deps: ApiServerDeps): Promise<Program> {
  const { dir, authority, addresses } = deps
  const file = (name: string) => join(dir, name)
  const serving = await authority.issue({
    commonName: 'kube-apiserver',
    hosts: [...names, ...addresses, '127.0.0.1', '10.96.0.1'],
  })
  const kubelets = await authority.issue({ commonName: 'kube-apiserver', organizations: ['system:masters'] })
  const accounts = await promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const files = {
    'ca.crt': authority.certificate,
    'ca.key': authority.key,
    'server.crt': serving.certificate,
    'server.key': serving.key,
    'kubelet-client.crt': kubelets.certificate,
    'kubelet-client.key': kubelets.key,
    'sa.pub': accounts.publicKey,
    'sa.key': accounts.privateKey,
    'tokens.csv': deps.users.map(tokenLine).join(''),
  }
  for (const [name, text] of Object.entries(files)) await writeFile(file(name), text, { mode: 0o600 })

  return createProgram({
    name: 'kube-apiserver',
    namespace: deps.host,
    command: deps.command,
    args: [
      ...['--etcd-servers', deps.etcdUrl, '--secure-port', String(deps.port), '--bind-address', '0.0.0.0'],
      ...['--advertise-address', addresses[0] ?? '', '--service-cluster-ip-range', serviceRange],
      ...['--tls-cert-file', file('server.crt'), '--tls-private-key-file', file('server.key')],
      ...['--client-ca-file', file('ca.crt'), '--token-auth-file', file('tokens.csv')],
      ...['--authorization-mode', 'Node,RBAC', '--allow-privileged'],
      ...['--service-account-key-file', file('sa.pub'), '--service-account-signing-key-file', file('sa.key')],
      ...['--service-account-issuer', serviceAccountIssuer],
      ...['--kubelet-client-certificate', file('kubelet-client.crt')],
      ...['--kubelet-client-key', file('kubelet-client.key')],
      // No DNS knows the names of nodes.
      ...['--kubelet-preferred-address-types', 'InternalIP'],
      ...['--profiling=false'],
    ],
    logFile: file('kube-apiserver.log'),
    isReady: () => answers(`${deps.url}/readyz`, authority.certificate),
    signal: deps.signal,
  })
}

function tokenLine({ name, groups, token }: TokenUser): string {
  return `${token},"${name}","${name}","${groups.join(',')}"\n`
}

/** Whether something answers there with status 200. */
function answers(url: string, ca: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(url, { ca, agent: false, timeout: 5_000 }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode === 200))
      response.once('error', () => resolve(false))
    })
    asked.once('error', () => resolve(false))
    asked.once('timeout', () => asked.destroy())
    asked.end()
  })
}
