import t from 'tap'
import { kubeconfigText } from '../../../testbed/kubernetes/kubeconfig.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')

t.test('a kubeconfig holds all it needs, for a token or a certificate', async (t) => {
  const request = { url: 'https://10.0.0.1:6443', ca: 'CA', user: 'jane' }
  const withToken = JSON.parse(kubeconfigText({ ...request, credentials: { token: 'secret' } }))
  t.match(withToken, {
    kind: 'Config',
    clusters: [{ cluster: { server: request.url, 'certificate-authority-data': base64('CA') } }],
    users: [{ name: 'jane', user: { token: 'secret' } }],
    'current-context': 'testbed',
  })
  t.equal(withToken.contexts[0].context.user, 'jane')
  const withCertificate = JSON.parse(
    kubeconfigText({ ...request, credentials: { certificate: 'CERT', key: 'KEY' } }),
  )
  t.same(withCertificate.users[0].user, {
    'client-certificate-data': base64('CERT'),
    'client-key-data': base64('KEY'),
  })
})
