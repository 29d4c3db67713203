import t from 'tap'
import { istiodObjects, istiodValues } from '../../../testbed/kubernetes/istiod-objects.ts'

const rendered = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: istiod, namespace: istio-system}
---
# nothing in it
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: istiod, namespace: istio-system}
---
apiVersion: v1
kind: Service
metadata: {name: istiod, namespace: istio-system}
spec:
  ports:
    - {port: 15012, name: https-dns, protocol: TCP}
    - {port: 443, name: https-webhook, targetPort: 15017, protocol: TCP}
  selector: {app: istiod}
`

t.test('rights and settings stay, the pod goes, and the Service leads to an address', async (t) => {
  const [account, service, slice, ...rest] = istiodObjects(rendered, '10.77.0.1')
  t.same(rest, [])
  t.match(account, { kind: 'ServiceAccount' })
  t.match(service, { kind: 'Service', spec: { ports: [{ port: 15012 }, { port: 443 }] } })
  t.notOk('selector' in (service as { spec: object }).spec, 'no controller looks for pods behind it')
  t.match(slice, {
    kind: 'EndpointSlice',
    metadata: { labels: { 'kubernetes.io/service-name': 'istiod' } },
    endpoints: [{ addresses: ['10.77.0.1'] }],
    ports: [
      { name: 'https-dns', port: 15012 },
      { name: 'https-webhook', port: 15017 },
    ],
  })
})

t.test('the chart is told of its default revision by none, and of webhooks by their address', async (t) => {
  const request = { tag: '1.29.1', mesh: { accessLogFile: '' }, networks: {} }
  t.match(istiodValues({ ...request, name: 'istiod', revision: 'default' }), {
    revision: '',
    istiodRemote: { injectionURL: 'https://istiod.istio-system.svc:15017/inject' },
    meshConfig: { accessLogFile: '' },
  })
  t.match(istiodValues({ ...request, name: 'istiod-canary', revision: 'canary' }), {
    revision: 'canary',
    base: { validationURL: 'https://istiod-canary.istio-system.svc:15017/validate' },
  })
})
