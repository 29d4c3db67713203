import t from 'tap'
import { sidecarFileList } from '../../../../agent/sidecar/files.ts'
import { someBundle } from '../bundle.ts'

t.test('the token is a secret of the sidecar, the rest is plain', async (t) => {
  t.same(sidecarFileList(someBundle()), [
    {
      path: 'var/run/secrets/tokens/istio-token',
      content: 'secret-token',
      mode: 0o600,
      ofSidecar: true,
      secret: true,
      readAtStart: false,
    },
    {
      path: 'etc/certs/root-cert.pem',
      content: 'ROOT',
      mode: 0o644,
      ofSidecar: false,
      secret: false,
      readAtStart: false,
    },
  ])
})

t.test('interfaces that are left alone are told to pilot-agent as a pod is told', async (t) => {
  const files = sidecarFileList(
    someBundle((bundle) => {
      bundle.capture.excludeInterfaces = ['eth1', 'eth2']
    }),
  )
  const file = files.find((one) => one.path === 'etc/istio/pod/annotations')
  t.equal(file?.content, 'traffic.sidecar.istio.io/excludeInterfaces="eth1,eth2"\n')
  t.equal(file?.readAtStart, true)
})
