import t from 'tap'
import { sidecarSpec } from '../../../../agent/sidecar/spec.ts'
import { someBundle } from '../bundle.ts'

const paths = { version: '/state/sidecar/versions/1.29.1-abc', run: '/state/sidecar/run' }
const specOf = (change?: Parameters<typeof someBundle>[0]) => sidecarSpec(someBundle(change), paths)

t.test('command, arguments and environment are exactly these', async (t) => {
  const { hash, env, ...spec } = specOf()
  t.match(hash, /^[0-9a-f]{64}$/)
  t.same(spec, {
    command: '/state/sidecar/versions/1.29.1-abc/bin/pilot-agent',
    args: [
      'proxy',
      'sidecar',
      '--templateFile',
      '/state/sidecar/versions/1.29.1-abc/envoy_bootstrap_tmpl.json',
    ],
    cwd: '/state/sidecar/run',
    uid: 1337,
    gid: 1337,
  })
  const { PROXY_CONFIG, ISTIO_METAJSON_LABELS, ISTIO_META_POD_PORTS, ...plain } = env
  t.same(plain, {
    CA_ADDR: '',
    CA_ROOT_CA: './etc/certs/root-cert.pem',
    CLOUD_PLATFORM: 'none',
    INSTANCE_IP: '10.0.0.10',
    ISTIOD_SAN: 'istiod.istio-system.svc',
    ISTIO_META_CLUSTER_ID: 'Kubernetes',
    ISTIO_META_DNS_CAPTURE: 'true',
    ISTIO_META_INTERCEPTION_MODE: 'REDIRECT',
    ISTIO_META_MESH_ID: 'mesh',
    ISTIO_META_NETWORK: 'net-1',
    ISTIO_META_WORKLOAD_NAME: 'web',
    JWT_POLICY: 'third-party-jwt',
    OUTPUT_CERTS: '',
    PILOT_CERT_PROVIDER: 'custom',
    POD_NAME: 'vm-1',
    POD_NAMESPACE: 'shop',
    PROV_CERT: '',
    SECRET_TTL: '3600s',
    SERVICE_ACCOUNT: 'web-sa',
    TRUST_DOMAIN: 'cluster.local',
    XDS_ROOT_CA: './etc/certs/root-cert.pem',
  })
  t.same(JSON.parse(ISTIO_META_POD_PORTS ?? ''), [{ name: 'http', containerPort: 8080 }])
  t.same(JSON.parse(ISTIO_METAJSON_LABELS ?? ''), {
    app: 'web',
    'service.istio.io/canonical-name': 'web',
    'service.istio.io/canonical-revision': 'latest',
  })
  t.match(JSON.parse(PROXY_CONFIG ?? ''), {
    discoveryAddress: '10.0.0.1:15012',
    binaryPath: '/state/sidecar/versions/1.29.1-abc/bin/envoy',
    configPath: './etc/istio/proxy',
    terminationDrainDuration: '0s',
    proxyStatsMatcher: { inclusionRegexps: Array },
  })
})

t.test("the mesh's own settings come through, but not over what only the VM knows", async (t) => {
  const { env } = specOf((bundle) => {
    bundle.mesh.proxyConfig = {
      concurrency: 2,
      discoveryAddress: 'elsewhere:1',
      terminationDrainDuration: '60s',
      proxyMetadata: { FROM_METADATA: '1', POD_NAME: 'other', NOT_TEXT: 5 },
      proxyStatsMatcher: { inclusionPrefixes: ['a'], inclusionRegexps: ['b'] },
    }
    bundle.mesh.environment = { FROM_ENVIRONMENT: '2', INSTANCE_IP: '1.1.1.1' }
  })
  t.match(env, { FROM_METADATA: '1', FROM_ENVIRONMENT: '2', POD_NAME: 'vm-1', INSTANCE_IP: '10.0.0.10' })
  t.notOk('NOT_TEXT' in env)
  const config = JSON.parse(env.PROXY_CONFIG ?? '')
  t.match(config, { concurrency: 2, discoveryAddress: '10.0.0.1:15012', terminationDrainDuration: '0s' })
  t.same(config.proxyStatsMatcher.inclusionPrefixes, ['a'])
  t.equal(config.proxyStatsMatcher.inclusionRegexps[0], 'b')
  t.ok(config.proxyStatsMatcher.inclusionRegexps.length > 1)
})

t.test('certificates come from istiod, or from who signs beside it', async (t) => {
  const { env } = specOf((bundle) => {
    bundle.mesh.environment = { CA_ADDR: 'cert-manager-istio-csr.cert-manager.svc:443' }
  })
  t.equal(env.CA_ADDR, 'cert-manager-istio-csr.cert-manager.svc:443')
  t.equal(specOf(() => {}).env.CA_ADDR, '')
})

t.test('nothing binds the sidecar to the entry that the controller owns', async (t) => {
  const { env } = specOf((bundle) => {
    bundle.mesh.proxyConfig = { proxyMetadata: { ISTIO_META_AUTO_REGISTER_GROUP: 'g' } }
    bundle.mesh.environment = { ISTIO_META_WORKLOAD_ENTRY: 'e' }
  })
  t.notOk('ISTIO_META_AUTO_REGISTER_GROUP' in env)
  t.notOk('ISTIO_META_WORKLOAD_ENTRY' in env)
})

t.test('locality, IPv6 and DNS capture are said in the words of pilot-agent', async (t) => {
  const { env } = specOf((bundle) => {
    bundle.workload.locality = 'eu/zone-a/rack'
    bundle.workload.labels = { app: 'web', version: 'v2', 'service.istio.io/canonical-name': 'shop' }
    bundle.mesh.istiod.address = 'fd00::1'
    bundle.capture.dns = false
  })
  t.match(JSON.parse(env.ISTIO_METAJSON_LABELS ?? ''), {
    'istio-locality': 'eu.zone-a.rack',
    'service.istio.io/canonical-name': 'shop',
    'service.istio.io/canonical-revision': 'v2',
  })
  t.equal(JSON.parse(env.PROXY_CONFIG ?? '').discoveryAddress, '[fd00::1]:15012')
  t.equal(env.ISTIO_META_DNS_CAPTURE, 'false')
})

t.test('the hash changes with what needs a restart, and with nothing else', async (t) => {
  const { hash } = specOf()
  t.equal(
    specOf((b) => {
      b.token.value = 'other'
    }).hash,
    hash,
    'a token is read again by itself',
  )
  t.equal(
    specOf((b) => {
      b.mesh.rootCertificates = 'other'
    }).hash,
    hash,
    'so are root certificates',
  )
  t.equal(
    specOf((b) => {
      b.revision = 'other'
    }).hash,
    hash,
  )
  t.equal(
    specOf((b) => {
      b.capture.excludeInboundPorts = [9000]
    }).hash,
    hash,
  )
  t.not(
    specOf((b) => {
      b.workload.serviceAccount = 'other'
    }).hash,
    hash,
  )
  t.not(
    specOf((b) => {
      b.capture.excludeInterfaces = ['eth1']
    }).hash,
    hash,
    'read at the start alone',
  )
  t.not(sidecarSpec(someBundle(), { ...paths, version: '/other' }).hash, hash, 'another version')
})

t.test('the token is neither in arguments nor in the environment', async (t) => {
  t.notMatch(JSON.stringify(specOf()), 'secret-token')
})
