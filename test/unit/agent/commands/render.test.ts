import t from 'tap'
import { readBundle, rendering, renderingText } from '../../../../agent/commands/render.ts'
import { sidecarPaths } from '../../../../agent/sidecar/paths.ts'
import { someBundle } from '../bundle.ts'

const bundle = someBundle((b) => {
  b.sidecar.artifacts = [{ version: '1.29.1', arch: 'amd64', sha256: 'a'.repeat(64), size: 1 }]
})
const input = {
  bundle,
  arch: 'amd64',
  paths: sidecarPaths({ state: '/s', log: '/l' }),
  facts: { controllerAddresses: ['192.0.2.1'], nameservers: [], ipv6: false },
}

t.test('files, command and rules are shown; the token is not', async (t) => {
  const rendered = rendering(input)
  const token = rendered.files.find(({ path }) => path.endsWith('istio-token'))
  t.match(token, { content: '***', mode: '0600' })
  t.match(rendered.sidecar, { command: /pilot-agent$/, env: { POD_NAMESPACE: 'shop' } })
  t.ok(rendered.capture?.args.join(' ').includes('192.0.2.1/32'))
  for (const text of [renderingText(rendered), JSON.stringify(rendered)]) t.notMatch(text, 'secret-token')
  t.match(renderingText(rendered), /root-cert\.pem \(0644\)\nROOT/)
})

t.test('a pool that captures nothing has no rules', async (t) => {
  const open = someBundle((b) => {
    b.sidecar = bundle.sidecar
    b.capture.enabled = false
  })
  const rendered = rendering({ ...input, bundle: open })
  t.equal(rendered.capture, undefined)
  t.match(renderingText(rendered), /traffic rules: none/)
})

t.test('a bundle from a file is checked', async (t) => {
  t.same(readBundle(JSON.stringify(bundle), 'f'), bundle)
  t.throws(() => readBundle('{', 'f'), { code: 'CONFIG_INVALID', detail: 'f is not JSON' })
  t.throws(() => readBundle('{"vm":1}', 'f'), { code: 'CONFIG_INVALID', detail: /^f: / })
})
