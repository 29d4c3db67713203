/**
 * A stand-in for istio-csr: it speaks `istio.v1.auth.IstioCertificateService` as Istio documents it (security/v1alpha1/
 * ca.proto), believes a token by TokenReview for the audience `istio-ca`, and signs with the mesh's own root in place of
 * cert-manager. A line on standard output for each certificate: identity and serial number.
 *
 *     node csr-signer.ts SETTINGS.json
 */
import 'reflect-metadata'
import { createPrivateKey, generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  PublicKey,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { createClient } from '../../../controller/kubernetes/client.ts'
import { createConnection } from '../../../controller/kubernetes/connection.ts'
import { readAccess } from '../../../controller/kubernetes/kubeconfig.ts'
import { systemClock as clock } from '../../../shared/clock.ts'
import { createFrameReader, encodeFrame } from './grpc-frames.ts'

/** What the one argument's file holds. */
export interface CsrSignerSettings {
  readonly host: string
  readonly port: number
  /** DNS name in its certificate. */
  readonly name: string
  /** PEM: the mesh's root with its RSA key. */
  readonly root: string
  readonly rootKey: string
  readonly kubeconfig: string
}

const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const
const hourMs = 3_600_000
const path = '/istio.v1.auth.IstioCertificateService/CreateCertificate'

const settings = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8')) as CsrSignerSettings
const issuer = new X509Certificate(settings.root)
const issuerKey = await webcrypto.subtle.importKey(
  'pkcs8',
  new Uint8Array(createPrivateKey(settings.rootKey).export({ type: 'pkcs8', format: 'der' })),
  rsa,
  false,
  ['sign'],
)
const connection = createConnection({ access: () => readAccess({ file: settings.kubeconfig }), clock })
const client = createClient({ connection, unavailable: 'MESH_UNAVAILABLE' })

const own = generateKeyPairSync('rsa', { modulusLength: 2048 })
const shown = await sign(
  new PublicKey(own.publicKey.export({ type: 'spki', format: 'der' })),
  { type: 'dns', value: settings.name },
  24 * hourMs,
)
const server = createSecureServer({
  key: own.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  cert: shown.toString('pem'),
})
server.on('stream', (opened, headers) => {
  const stream = opened as ServerHttp2Stream
  answer(stream, headers).catch((error: unknown) => {
    process.stderr.write(`${error}\n`)
    refuse(stream, 13)
  })
})
server.listen(settings.port, settings.host, () => process.stdout.write('listening\n'))

async function answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
  const reader = createFrameReader()
  const messages: Buffer[] = []
  for await (const chunk of stream as AsyncIterable<Buffer>) messages.push(...reader.push(chunk))
  if (headers[':path'] !== path) return refuse(stream, 12)
  const identity = await identityOf(headers.authorization ?? '')
  if (identity === undefined) return refuse(stream, 16)
  const { csr, seconds } = request(messages[0] ?? Buffer.alloc(0))
  const { publicKey } = new Pkcs10CertificateRequest(csr)
  const certificate = await sign(publicKey, { type: 'url', value: identity }, seconds * 1000)
  process.stdout.write(`${identity} ${certificate.serialNumber}\n`)
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.end(encodeFrame(response([certificate.toString('pem'), settings.root])))
}

function refuse(stream: ServerHttp2Stream, status: number): void {
  if (stream.headersSent) stream.close()
  else
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(status) },
      { endStream: true },
    )
}

/** SPIFFE id of the service account that a token is of (istio security/pkg/k8s/tokenreview). */
async function identityOf(authorization: string): Promise<string | undefined> {
  const review = await client.post<{
    status?: { authenticated?: boolean; audiences?: readonly string[]; user?: { username?: string } }
  }>(
    { group: 'authentication.k8s.io', version: 'v1', plural: 'tokenreviews', kind: 'TokenReview' },
    {},
    { spec: { token: authorization.replace(/^Bearer /, ''), audiences: ['istio-ca'] } },
  )
  const { authenticated, audiences, user } = review.status ?? {}
  const [, namespace, account] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user?.username ?? '') ?? []
  if (!authenticated || !audiences?.includes('istio-ca') || namespace === undefined) return undefined
  return `spiffe://cluster.local/ns/${namespace}/sa/${account}`
}

function sign(publicKey: PublicKey, name: { type: 'dns' | 'url'; value: string }, lifeMs: number) {
  return X509CertificateGenerator.create({
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    issuer: issuer.subject,
    notBefore: new Date(clock.now() - 60_000),
    notAfter: new Date(clock.now() + lifeMs),
    signingAlgorithm: rsa,
    publicKey,
    signingKey: issuerKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([name], true),
    ],
  })
}

/** `IstioCertificateRequest`: `csr` is field 1, `validity_duration` in seconds field 3. */
function request(message: Buffer): { readonly csr: string; readonly seconds: number } {
  let [csr, seconds, at] = ['', 3600, 0]
  const varint = () => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at] ?? 0
      at += 1
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  while (at < message.length) {
    const tag = varint()
    if ((tag & 7) === 0) {
      const value = varint()
      if (tag >> 3 === 3) seconds = value
    } else {
      const length = varint()
      if (tag >> 3 === 1) csr = message.toString('utf8', at, at + length)
      at += length
    }
  }
  return { csr, seconds }
}

/** `IstioCertificateResponse`: `cert_chain` is field 1, repeated. */
function response(chain: readonly string[]): Buffer {
  return Buffer.concat(
    chain.flatMap((pem) => {
      const text = Buffer.from(pem)
      return [Buffer.from([10, ...varint(text.length)]), text]
    }),
  )
}

function varint(value: number): readonly number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]
}
