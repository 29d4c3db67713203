import t from 'tap'
import { clusterFacts, type FactSettings } from '../../../../../controller/mesh/kubernetes/mesh-facts.ts'

const settings: FactSettings = {
  istioNamespace: 'istio-system',
  revision: '',
  address: undefined,
  addresses: {},
  clusterId: undefined,
  network: undefined,
  proxyConfig: {},
  environment: { A: 'b' },
  certificateTtlSeconds: 3600,
}
const gateway = (name: string, fields: object = {}, spec: object = {}) => ({
  metadata: { name },
  spec: { ports: [{ name: 'tls-istiod', port: 15012 }], ...spec },
  status: { loadBalancer: { ingress: [fields] } },
})
const sources = {
  meshConfig: 'trustDomain: td\nrootNamespace: roots\ndefaultConfig: {meshId: m, tracing: {sampling: 5}}',
  injectorValues: '{"global":{"multiCluster":{"clusterName":"east"}}}',
  rootCertificates: '-----BEGIN CERTIFICATE-----\n',
  network: 'net-a',
  gateways: [gateway('a', { hostname: 'lb.example' })],
}

t.test('everything is taken from where Istio keeps it', async (t) => {
  t.same(clusterFacts(sources, settings), {
    rootNamespace: 'roots',
    missing: [],
    facts: {
      trustDomain: 'td',
      meshId: 'm',
      clusterId: 'east',
      network: 'net-a',
      istiod: { host: 'istiod.istio-system.svc', address: 'lb.example', port: 15012 },
      rootCertificates: '-----BEGIN CERTIFICATE-----\n',
      proxyConfig: {
        drainDuration: '45s',
        meshId: 'm',
        tracing: { sampling: 5 },
        statusPort: 15020,
        proxyAdminPort: 15000,
      },
      environment: { A: 'b' },
      certificateTtlSeconds: 3600,
    },
  })
})

t.test('who signs beside istiod is who Istio’s injection names, or the configuration', async (t) => {
  const injectorValues = '{"global":{"caAddress":"cert-manager-istio-csr.cert-manager.svc:443"}}'
  const environmentOf = (environment: Readonly<Record<string, string>>) =>
    clusterFacts({ ...sources, injectorValues }, { ...settings, environment }).facts?.environment
  t.same(environmentOf({ A: 'b' }), { A: 'b', CA_ADDR: 'cert-manager-istio-csr.cert-manager.svc:443' })
  t.same(environmentOf({ CA_ADDR: 'csr.example:8443' }), { CA_ADDR: 'csr.example:8443' })
  const none = clusterFacts({ ...sources, injectorValues: '{"global":{"caAddress":""}}' }, settings)
  t.same(none.facts?.environment, { A: 'b' })
})

t.test('defaults are Istio’s, and the configuration goes before', async (t) => {
  const bare = { ...sources, meshConfig: 'defaultConfig: {discoveryAddress: x, image: {imageType: y}}' }
  const { facts } = clusterFacts({ ...bare, injectorValues: 'no: {json', network: undefined }, settings)
  t.match(facts, {
    trustDomain: 'cluster.local',
    meshId: 'cluster.local',
    clusterId: 'Kubernetes',
    network: '',
  })
  t.notMatch(facts?.proxyConfig, { discoveryAddress: 'x' }, 'a VM is told where to go by its bundle')
  t.notOk(facts?.proxyConfig.image)
  const told = clusterFacts(sources, {
    ...settings,
    revision: 'canary',
    address: { address: '192.0.2.1', port: 443 },
    clusterId: 'mine',
    network: 'other',
    proxyConfig: { concurrency: 2, statusPort: 1 },
  })
  t.match(told.facts, {
    istiod: { host: 'istiod-canary.istio-system.svc', address: '192.0.2.1', port: 443 },
    clusterId: 'mine',
    network: 'other',
    proxyConfig: { concurrency: 2, statusPort: 15020, tracing: { sampling: 5 } },
  })
})

t.test('each revision of istiod has its own name, place and configuration', async (t) => {
  const [first, second] = [
    { address: '192.0.2.1', port: 443 },
    { address: '192.0.2.2', port: 15012 },
  ]
  const addresses = { canary: second }
  const of = (revision: string, more: Partial<FactSettings> = {}) =>
    clusterFacts(sources, { ...settings, revision: 'stable', addresses, ...more }, revision).facts
  t.match(of('canary'), { revision: 'canary', istiod: { host: 'istiod-canary.istio-system.svc', ...second } })
  t.match(of('stable', { address: first }), { revision: 'stable', istiod: first })
  t.match(of('canary', { address: first })?.istiod, second, 'what is said of one revision goes before')
  const nameless = of('default', { addresses: { default: first } })
  t.match(nameless?.istiod, { host: 'istiod.istio-system.svc', ...first })
  t.notOk(nameless !== undefined && 'revision' in nameless, 'the default one has no name')
})

t.test('a revision’s own gateway goes before others, which lead to it too', async (t) => {
  const labelled = (name: string, ip: string, revision: string) => {
    const service = gateway(name, { ip })
    return { ...service, metadata: { name, labels: { 'istio.io/rev': revision } } }
  }
  const gateways = [
    gateway('a', { ip: '1.1.1.1' }),
    labelled('b', '2.2.2.2', 'stable'),
    labelled('c', '3.3.3.3', 'canary'),
  ]
  const addressOf = (revision: string) =>
    clusterFacts({ ...sources, gateways }, settings, revision).facts?.istiod.address
  t.equal(addressOf('canary'), '3.3.3.3')
  t.equal(addressOf('stable'), '2.2.2.2')
  t.equal(addressOf(''), '1.1.1.1')
  t.equal(addressOf('another'), '1.1.1.1')
})

t.test('the first gateway that leads to istiod and has an address is the way', async (t) => {
  const addressOf = (...gateways: readonly unknown[]) =>
    clusterFacts({ ...sources, gateways }, settings).facts?.istiod.address
  t.equal(addressOf(gateway('b', { ip: '2.2.2.2' }), gateway('a', { ip: '1.1.1.1' })), '1.1.1.1')
  t.equal(addressOf(gateway('a'), gateway('b', { ip: '2.2.2.2' })), '2.2.2.2')
  t.equal(addressOf(gateway('a', {}, { externalIPs: ['3.3.3.3'] })), '3.3.3.3')
  t.equal(addressOf(gateway('a', { ip: '1.1.1.1' }, { ports: [{ name: 'tls', port: 15443 }] })), '')
  t.equal(addressOf('nonsense', { metadata: {} }), '')
})

t.test('what is missing is named', async (t) => {
  const none = {
    meshConfig: undefined,
    injectorValues: undefined,
    rootCertificates: undefined,
    network: undefined,
    gateways: [],
  }
  const { facts, missing, rootNamespace } = clusterFacts(none, { ...settings, revision: 'canary' })
  t.equal(facts, undefined)
  t.equal(rootNamespace, 'istio-system')
  t.match(missing, [/istio-system\/istio-canary/, /istio-ca-root-cert/, /istio=eastwestgateway/])
  for (const meshConfig of ['{', '- a', '7']) {
    t.equal(clusterFacts({ ...sources, meshConfig }, settings).facts, undefined, meshConfig)
  }
  t.equal(clusterFacts({ ...sources, rootCertificates: 'no certificate' }, settings).facts, undefined)
  const unreached = clusterFacts({ ...sources, gateways: [] }, settings)
  t.equal(unreached.facts?.istiod.address, '', 'the rest is known')
  t.equal(unreached.missing.length, 1)
})
