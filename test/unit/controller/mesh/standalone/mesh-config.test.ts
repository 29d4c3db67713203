import t from 'tap'
import { meshConfig, proxyConfig } from '../../../../../controller/mesh/standalone/mesh-config.ts'

const base = { trustDomain: 'example.org', rootNamespace: 'istio-system', folder: '/d/config', overrides: {} }

t.test('the mesh reads its folder, and lets calls to the outside pass', async (t) => {
  t.strictSame(meshConfig(base), {
    trustDomain: 'example.org',
    rootNamespace: 'istio-system',
    configSources: [{ address: 'fs:///d/config' }],
    outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
    accessLogFile: '',
  })
})

t.test('overrides are merged, and cannot take the foundation away', async (t) => {
  const overrides = { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' }, defaultProviders: {} }
  t.match(meshConfig({ ...base, overrides }), { ...overrides, accessLogFile: '' })
  for (const key of ['trustDomain', 'configSources', 'rootNamespace']) {
    t.throws(() => meshConfig({ ...base, overrides: { [key]: 'x' } }), { code: 'CONFIG_INVALID' })
  }
  t.match(proxyConfig({ concurrency: 1 }), { concurrency: 1, drainDuration: '45s' })
})
