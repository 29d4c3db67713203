import { once } from 'node:events'
import { openSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import 'reflect-metadata'
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { Network } from '../../testbed/network/network.ts'
import type { Parts } from '../../testbed/parts/parts.ts'

/** A control plane in the host's namespace, with its own root and token issuer. */
export interface Istiod {
  readonly rootCertificates: string
  readonly address: string
  readonly port: number
  token(serviceAccount: string): Promise<string>
  /** Replaces everything that istiod knows; JSON is YAML. */
  apply(objects: readonly object[]): Promise<void>
}

const issuer = 'http://127.0.0.1:9911'
const algorithm = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength: 2048,
}

/** Starts istiod without Kubernetes; it ends with the network. */
export async function startIstiod(network: Network, parts: Parts): Promise<Istiod> {
  const folder = join(network.hostDir, 'istiod')
  const config = join(folder, 'config')
  await mkdir(config, { recursive: true })
  const rootCertificates = await makeRoot(folder)

  const keys = await generateKeyPair('RS256', { extractable: true })
  const jwks = JSON.stringify({
    keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'k', alg: 'RS256', use: 'sig' }],
  })
  network.host.spawn(process.execPath, [fileURLToPath(new URL('jwks-server.ts', import.meta.url))], {
    env: { JWKS: jwks, PORT: new URL(issuer).port },
    stdio: 'ignore',
  })

  const mesh = {
    trustDomain: 'cluster.local',
    configSources: [{ address: `fs://${config}` }],
    defaultProviders: {},
    outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
  }
  await writeFile(join(folder, 'mesh.yaml'), JSON.stringify(mesh))
  // Answers to its own machine alone.
  const monitoring = '127.0.0.1:15014'
  const logPath = join(folder, 'istiod.log')
  const output = openSync(logPath, 'a')
  const child = network.host.spawn(
    parts.istiod,
    [
      'discovery',
      ...['--meshConfig', join(folder, 'mesh.yaml'), '--registries', '', '--domain', 'cluster.local'],
      ...[
        '--httpsAddr',
        '',
        '--grpcAddr',
        '',
        '--httpAddr',
        '127.0.0.1:8080',
        '--monitoringAddr',
        monitoring,
      ],
      ...['--secureGRPCAddr', `${network.hostAddress}:15012`, '--ctrlz_port', '0'],
    ],
    {
      stdio: ['ignore', output, output],
      env: {
        ROOT_CA_DIR: folder,
        ENABLE_CA_SERVER: 'true',
        PILOT_CERT_PROVIDER: 'istiod',
        POD_NAME: 'istiod-1',
        POD_NAMESPACE: 'istio-system',
        CLUSTER_ID: 'Kubernetes',
        REVISION: 'default',
        ISTIOD_CUSTOM_HOST: 'localhost',
        PILOT_ENABLE_METADATA_EXCHANGE: 'false',
        PILOT_ENABLE_ALPN_FILTER: 'false',
        PILOT_DEBOUNCE_MAX: '1s',
        JWT_RULE: JSON.stringify({ issuer, jwks_uri: `${issuer}/jwks.json`, audiences: ['istio-ca'] }),
      },
    },
  )
  await once(child, 'spawn')
  const debug = async (path: string) =>
    (await network.host.exec('curl', ['-s', `http://${monitoring}/debug/${path}`])).stdout
  try {
    await until(async () => (await debug('configz')) !== '')
  } catch (cause) {
    throw new Error((await readFile(logPath, 'utf8')).slice(-2000), { cause })
  }

  let generation = 0
  return {
    rootCertificates,
    address: network.hostAddress,
    port: 15012,
    token: (serviceAccount) =>
      new SignJWT({})
        .setProtectedHeader({ alg: 'RS256', kid: 'k' })
        .setIssuer(issuer)
        .setSubject(`system:serviceaccount:default:${serviceAccount}`)
        .setAudience(['istio-ca'])
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(keys.privateKey),
    async apply(objects) {
      const wanted = objects.flatMap((object) => serviceHosts(object))
      // An object that istiod missed when it started is seen only once it really changes.
      await until(async () => {
        generation += 1
        const text = objects.map((object) => JSON.stringify(nudged(object, generation))).join('\n---\n')
        await writeFile(join(folder, 'next'), text)
        await rename(join(folder, 'next'), join(config, 'objects.yaml'))
        await sleep(300)
        const registry = `${await debug('registryz')}${await debug('endpointz')}`
        return wanted.every((host) => registry.includes(host))
      })
    },
  }
}

async function makeRoot(folder: string): Promise<string> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const root = await X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'O=mooring test, CN=root',
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  })
  const pem = `${root.toString('pem')}\n`
  const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const keyPem = `-----BEGIN PRIVATE KEY-----\n${key.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`
  await writeFile(join(folder, 'ca-key.pem'), keyPem)
  for (const name of ['ca-cert', 'root-cert', 'cert-chain']) await writeFile(join(folder, `${name}.pem`), pem)
  return pem
}

function serviceHosts(object: object): readonly string[] {
  const { kind, spec } = object as { kind: string; spec: { hosts?: readonly string[]; address?: string } }
  if (kind === 'ServiceEntry') return spec.hosts ?? []
  return kind === 'WorkloadEntry' && spec.address !== undefined ? [spec.address] : []
}

function nudged(object: object, generation: number): object {
  const { metadata } = object as { metadata: { annotations?: object } }
  const annotations = { ...metadata.annotations, 'test/generation': String(generation) }
  return { ...object, metadata: { ...metadata, annotations } }
}

/** Waits for a condition, with a limit that only a broken test meets. */
export async function until(condition: () => Promise<boolean>, limitMs = 120_000): Promise<void> {
  const end = performance.now() + limitMs
  for (;;) {
    if (await condition().catch(() => false)) return
    if (performance.now() > end) throw new Error('the condition was not met in time')
    await sleep(20)
  }
}
