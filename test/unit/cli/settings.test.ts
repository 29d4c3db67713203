import path from 'node:path'
import t from 'tap'
import type { Config } from '../../../cli/config-file.ts'
import { parseServer, parseToken, resolveSettings } from '../../../cli/settings.ts'

const pin = `sha256:${'a'.repeat(64)}`
const context = {
  server: 'https://c:8443',
  ca: 'STORED-CA',
  operator: 'ada',
  token: 'stored-token',
  expiresAt: 1,
}
const config: Config = {
  version: 1,
  current: 'default',
  contexts: { default: context, edge: { ...context, server: 'https://edge', token: 'edge-token' } },
}
const none: Config = { version: 1, current: 'default', contexts: {} }

t.test('the stored context, and another by its name', async (t) => {
  const settings = await resolveSettings({ env: {}, config })
  t.equal(settings.server.origin, 'https://c:8443')
  t.same(settings.trust, { ca: 'STORED-CA' })
  t.equal(settings.token?.reveal(), 'stored-token')
  t.equal((await resolveSettings({ env: {}, config, context: 'edge' })).token?.reveal(), 'edge-token')
  const missing = resolveSettings({ env: {}, config, context: 'toString' })
  await t.rejects(missing, { code: 'CONFIG_INVALID', detail: /known: default, edge/ })
})

t.test('the environment wins, piece by piece', async (t) => {
  const folder = t.testdir({ token: 'from-file-token\n', ca: '-----BEGIN CERTIFICATE-----\n' })
  const env = { MOORING_TOKEN_FILE: path.join(folder, 'token') }
  t.equal((await resolveSettings({ env, config })).token?.reveal(), 'from-file-token')
  t.match((await resolveSettings({ env: { MOORING_PIN: pin }, config })).trust, { pin })
  const ca = { MOORING_CA_FILE: path.join(folder, 'ca'), MOORING_PIN: pin }
  t.match((await resolveSettings({ env: ca, config })).trust, { ca: /BEGIN/ })
})

t.test('a stored token and trust never go to another controller', async (t) => {
  const env = { MOORING_URL: 'https://other:8443' }
  await t.rejects(resolveSettings({ env, config }), { code: 'CONFIG_INVALID', detail: /how to recognise/ })
  t.equal((await resolveSettings({ env: { ...env, MOORING_PIN: pin }, config })).token, undefined)
  const same = { MOORING_URL: 'https://c:8443/', MOORING_PIN: pin }
  t.equal((await resolveSettings({ env: same, config })).token?.reveal(), 'stored-token')
})

t.test('nobody logged in', async (t) => {
  await t.rejects(resolveSettings({ env: {}, config: none }), { code: 'UNAUTHENTICATED' })
})

t.test('addresses, pins and tokens that cannot be right are refused', async (t) => {
  for (const url of [
    'c:8443',
    'http://c',
    'https://u:p@c',
    'https://c/path',
    'https://c?x=1',
    'https://',
    '',
  ]) {
    t.throws(() => parseServer(url), { code: 'CONFIG_INVALID' }, url)
  }
  for (const bad of ['', 'sha256:', 'sha256:AAAA', 'md5:00']) {
    await t.rejects(resolveSettings({ env: { MOORING_PIN: bad }, config }), { code: 'CONFIG_INVALID' }, bad)
  }
  for (const bad of ['', 'short', 'has space inside it', 'new\nline-token']) {
    t.throws(() => parseToken(bad, 'f'), { code: 'CONFIG_INVALID' }, JSON.stringify(bad))
  }
  await t.rejects(resolveSettings({ env: { MOORING_CA_FILE: t.testdirName }, config }), {
    code: 'CONFIG_INVALID',
  })
})
