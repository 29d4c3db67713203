/** How a user shows who it is: by a certificate, or by a token. */
export type Credentials = { readonly certificate: string; readonly key: string } | { readonly token: string }

export interface KubeconfigRequest {
  readonly url: string
  /** PEM. */
  readonly ca: string
  readonly user: string
  readonly credentials: Credentials
}

/** A kubeconfig with everything in it, so that it can be moved; JSON is YAML. */
export function kubeconfigText(request: KubeconfigRequest): string {
  const { url, ca, user, credentials } = request
  const shown =
    'token' in credentials
      ? { token: credentials.token }
      : {
          'client-certificate-data': base64(credentials.certificate),
          'client-key-data': base64(credentials.key),
        }
  return `${JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'testbed', cluster: { server: url, 'certificate-authority-data': base64(ca) } }],
      users: [{ name: user, user: shown }],
      contexts: [{ name: 'testbed', context: { cluster: 'testbed', user } }],
      'current-context': 'testbed',
    },
    null,
    2,
  )}\n`
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
