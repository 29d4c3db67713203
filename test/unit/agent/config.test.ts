import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import t from 'tap'
import { environmentNames, readConfig as readLayers } from '../../../agent/config.ts'
import { parseLayer } from '../../../agent/config-layers.ts'
import { isMooringError } from '../../../shared/errors.ts'

const pin = `sha256:${'0'.repeat(64)}`
const smallest = { controller: { url: 'https://c:8443', pin }, pool: 'web' }

const readConfig = async (text: string, env: Record<string, string>) =>
  readLayers([await parseLayer('agent.yaml', text)], env)

async function fault(config: unknown, env = {}): Promise<string> {
  try {
    await readConfig(typeof config === 'string' ? config : JSON.stringify(config), env)
  } catch (error) {
    if (isMooringError(error, 'CONFIG_INVALID')) return error.detail ?? ''
    if (isMooringError(error, 'NOT_CONFIGURED')) return error.code
    throw error
  }
  return 'none'
}

t.test('the smallest configuration gets every default', async (t) => {
  t.same(await readConfig(JSON.stringify(smallest), {}), {
    controller: { url: new URL('https://c:8443'), trust: { pin } },
    pool: 'web',
    join: { method: 'token', tokenFile: '/etc/mooring/token' },
    state: '/var/lib/mooring',
    run: '/run/mooring',
    log: { level: 'info' },
  })
})

t.test('the documented configuration can be read, and shows the defaults and every variable', async (t) => {
  const text = await readFile(new URL('../../../docs/agent.yaml', import.meta.url), 'utf8')
  await t.rejects(readConfig(text, {}), { code: 'NOT_CONFIGURED' }, 'it is an example, and taken for one')
  const documented = await readConfig(text, { MOORING_CONTROLLER_URL: 'https://c:8443' })
  const defaults = await readConfig(JSON.stringify(smallest), {})
  t.same({ ...documented, controller: undefined }, { ...defaults, controller: undefined })
  for (const name of Object.keys(environmentNames)) t.match(text, `(${name})`)
})

t.test('the environment replaces what the file says', async (t) => {
  const config = await readConfig(JSON.stringify(smallest), {
    MOORING_CONTROLLER_URL: 'https://[::1]:1/',
    MOORING_POOL: 'db',
    MOORING_JOIN_TOKEN_FILE: '/t',
    MOORING_LOG_LEVEL: 'debug',
    MOORING_STATE: '/s',
    MOORING_RUN: '',
  })
  t.equal(config.controller.url.hostname, '[::1]')
  t.match(config, {
    pool: 'db',
    join: { tokenFile: '/t' },
    log: { level: 'debug' },
    state: '/s',
    run: '/run/mooring',
  })
  t.equal(
    (
      await readConfig('', {
        MOORING_CONTROLLER_URL: 'https://c',
        MOORING_CONTROLLER_PIN: pin,
        MOORING_POOL: 'p',
      })
    ).pool,
    'p',
    'an empty file will do',
  )
})

t.test('what is wrong is named', async (t) => {
  const { controller, pool } = smallest
  const cases: [unknown, RegExp][] = [
    [{ ...smallest, pol: 1 }, /^pol is not a key/],
    [{ ...smallest, controller: { ...controller, caFle: 'x' } }, /^controller\.caFle is not a key/],
    [{ controller: { pin }, pool }, /^controller\.url is missing/],
    [{ controller: { ...controller, url: 'http://c' }, pool }, /^controller\.url must match/],
    [{ controller: { ...controller, url: 'https://user@c' }, pool }, /^controller\.url must match/],
    [{ controller: { ...controller, caFile: '/x' }, pool }, /exclude each other/],
    [{ controller: { url: 'https://c' }, pool }, /no controller at first sight/],
    [{ controller: { ...controller, pin: 'sha256:0' }, pool }, /^controller\.pin/],
    [{ ...smallest, pool: 'Web' }, /^pool/],
    [{ ...smallest, log: { level: 'loud' } }, /^log\.level/],
    ['pool: [', /not YAML/],
    ['- 1', /the file must be object/],
    ['a: &a [1]\nb: *a', /not YAML/],
  ]
  for (const [config, words] of cases) t.match(await fault(config), words)
  t.match(await fault(smallest, { MOORING_LOG_LEVEL: 'loud' }), /^log\.level/)
})

t.test('what user data says lies over what an image says', async (t) => {
  const over = (...texts: unknown[]) =>
    readLayers(
      texts.map((value, i) => ({ path: `${i}.yaml`, value })),
      {},
    )
  const other = `sha256:${'1'.repeat(64)}`
  const image = {
    controller: { url: 'https://mooring.example.org:8443', pin },
    pool: 'web',
    log: { level: 'debug' },
  }
  t.match(over(image, { controller: { url: 'https://c', pin: other }, join: { tokenFile: '/t' } }), {
    controller: { url: new URL('https://c'), trust: { pin: other } },
    pool: 'web',
    join: { tokenFile: '/t' },
    log: { level: 'debug' },
  })
  t.same(
    over(image, { controller: { url: 'https://c', caFile: '/ca' } }).controller.trust,
    { caFile: '/ca' },
    'who says whom to trust takes back what was said of it',
  )
  t.equal(over(image, { controller: { url: 'https://c' } }, { pool: 'db' }).pool, 'db', 'the last one wins')
  t.throws(() => over(smallest, { pol: 1 }), {
    code: 'CONFIG_INVALID',
    detail: 'pol is not a key of the configuration (in 1.yaml)',
  })
  t.throws(() => over(smallest, { log: { level: 'x' } }), {
    code: 'CONFIG_INVALID',
    detail: /\(in 1\.yaml\)$/,
  })
  t.throws(() => over(smallest, [1]), { code: 'CONFIG_INVALID', detail: /the file must be object/ })
  await t.rejects(parseLayer('d.yaml', 'a: 1\nb: ['), {
    code: 'CONFIG_INVALID',
    detail: /^d\.yaml is not YAML: .* line 2/,
  })
})

t.test('no word of a controller is no fault, but a state to wait in', async (t) => {
  t.throws(() => readLayers([], {}), { code: 'NOT_CONFIGURED', detail: 'there is no configuration file' })
  for (const config of [
    {},
    { pool: 'web' },
    { controller: {} },
    { controller: { url: 'https://a.example.com' } },
  ])
    t.equal(await fault(config), 'NOT_CONFIGURED')
  t.not(
    await fault({ ...smallest, controller: { url: 'https://example.org.real.net', pin } }),
    'NOT_CONFIGURED',
  )
})

t.test('no text does anything but be read or be refused', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (text) => {
      await fault(text)
      return true
    }),
  )
  t.pass('it was')
})
