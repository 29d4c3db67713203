import { parseAllDocuments } from 'yaml'

interface Rendered {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly spec?: { readonly selector?: object; readonly ports?: readonly ServicePort[] }
}

interface ServicePort {
  readonly name: string
  readonly port: number
  readonly targetPort?: number
}

/** What of the chart belongs to istiod as a pod. */
const ofThePod = ['Deployment', 'HorizontalPodAutoscaler', 'PodDisruptionBudget', 'NetworkPolicy']

/** The values of the chart for an istiod that is a process of this address, reached by its name. */
export function istiodValues(request: {
  readonly name: string
  readonly revision: string
  readonly tag: string
  readonly mesh: object
  readonly networks: object
}): object {
  const url = `https://${request.name}.istio-system.svc:15017`
  return {
    // The chart calls the default revision nothing.
    revision: request.revision === 'default' ? '' : request.revision,
    global: {
      hub: 'docker.io/istio',
      tag: request.tag,
      imagePullPolicy: 'Never',
      meshNetworks: request.networks,
      // A node of the testbed is small, and its sidecars do little.
      proxy: { resources: { requests: { cpu: '10m', memory: '40Mi' } } },
      proxy_init: { resources: { requests: { cpu: '10m', memory: '10Mi' } } },
    },
    istiodRemote: { injectionURL: `${url}/inject` },
    base: { validationURL: `${url}/validate` },
    // Upstream Envoy lacks the filters behind Istio's metrics.
    telemetry: { enabled: false },
    // There is no DNS for the cluster but that of the sidecars.
    meshConfig: { defaultConfig: { proxyMetadata: { ISTIO_META_DNS_CAPTURE: 'true' } }, ...request.mesh },
  }
}

/** What `helm template` said of istiod, for one that is no pod: its Service leads to an address instead. */
export function istiodObjects(rendered: string, address: string): readonly object[] {
  const objects = parseAllDocuments(rendered)
    .map((document) => document.toJS() as Rendered | null)
    .filter((object) => object !== null)
    .filter(({ kind }) => !ofThePod.includes(kind))
  return objects.flatMap((object) => (object.kind === 'Service' ? serviceOf(object, address) : [object]))
}

function serviceOf(service: Rendered, address: string): readonly object[] {
  const { selector: _, ...spec } = service.spec ?? {}
  const { name } = service.metadata
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-testbed`,
      namespace: 'istio-system',
      labels: {
        'kubernetes.io/service-name': name,
        'endpointslice.kubernetes.io/managed-by': 'testbed',
      },
    },
    addressType: 'IPv4',
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports: (spec.ports ?? []).map(({ name, port, targetPort }) => ({
      name,
      port: targetPort ?? port,
      protocol: 'TCP',
    })),
  }
  return [{ ...service, spec }, slice]
}
