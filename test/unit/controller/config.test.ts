import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { Value } from 'typebox/value'
import { parse } from 'yaml'
import { checkPoolRules } from '../../../controller/api/pool-rules.ts'
import { Config, environmentNames, hostAndPort, loadConfig, readConfig } from '../../../controller/config.ts'
import { checkPool } from '../../../controller/mesh/pool-check.ts'
import { effectivePool, poolDefaults } from '../../../controller/mesh/pool-defaults.ts'
import { closed } from '../../../shared/api/closed.ts'
import { Pool } from '../../../shared/api/operator.ts'

const docs = resolve(import.meta.dirname, '../../../docs')
const least = 'mesh: {istiod: {binary: /usr/local/bin/pilot-discovery}}'

t.test('docs/controller.yaml holds every option, with its default', async (t) => {
  const text = readFileSync(resolve(docs, 'controller.yaml'), 'utf8')
  const shown = readConfig(text, {})
  t.same(shown, readConfig(least, {}))
  t.same(keys(parse(text)), keys(shown), 'nothing is left to a default that is not shown')
  t.same(await loadConfig({ file: resolve(docs, 'controller.yaml'), environment: {} }), shown)
})

t.test('docs/pool.yaml is a pool that can be applied, with every option and the defaults', async (t) => {
  const pool = parse(readFileSync(resolve(docs, 'pool.yaml'), 'utf8'))
  t.same([...Value.Errors(closed(Pool), pool)], [])
  if (!Value.Check(Pool, pool)) return t.fail('it fits the schema')
  checkPoolRules(pool.spec)
  checkPool(pool.name, pool.spec, new Map())
  const all = Object.keys((Pool.properties.spec as { properties: object }).properties)
  t.same(Object.keys(pool.spec).toSorted(), all.toSorted(), 'every option is shown')
  const { capture, drain, liveness, renewWithinSeconds, rollout } = effectivePool(pool.spec)
  t.same(
    { capture, drain, liveness, renewWithinSeconds, rollout },
    {
      capture: poolDefaults.capture,
      drain: poolDefaults.drain,
      liveness: poolDefaults.liveness,
      renewWithinSeconds: poolDefaults.renewWithinSeconds,
      rollout: poolDefaults.rollout,
    },
  )
  const { http: _, tcp: __, grpc: ___, exec: ____, ...times } = pool.spec.probe ?? {}
  t.same(times, poolDefaults.probe)
})

t.test('the environment wins over the file', async (t) => {
  const config = readConfig(`${least}\nlisten: 1.2.3.4:1`, {
    MOORING_LISTEN: '0.0.0.0:9',
    MOORING_ADVERTISE: 'a.example, 10.0.0.1',
    MOORING_MESH_TRUST_DOMAIN: 'example.org',
    MOORING_MESH_ISTIOD_BINARY: '/bin/istiod',
    MOORING_LIMITS_JOINS_AT_ONCE: '3',
    MOORING_SOMETHING_ELSE: 'is not ours to judge',
  })
  t.equal(config.listen, '0.0.0.0:9')
  t.same(config.advertise, ['a.example', '10.0.0.1'])
  t.equal(config.mesh.trustDomain, 'example.org')
  t.equal(config.mesh.istiod.binary, '/bin/istiod')
  t.equal(config.limits.joinsAtOnce, 3)
})

t.test('the environment alone is enough', async (t) => {
  const config = await loadConfig({ environment: { MOORING_MESH_ISTIOD_BINARY: '/bin/istiod' } })
  t.same(config, readConfig('mesh: {istiod: {binary: /bin/istiod}}', {}))
})

t.test('every variable has a name of its own', async (t) => {
  const names = environmentNames().map(({ name }) => name)
  t.equal(new Set(names).size, names.length)
  t.ok(names.every((name) => /^MOORING_[A-Z]+(_[A-Z]+)*$/.test(name)))
})

/** Ten lines that would become a billion values. */
function bomb(): string {
  const names = [...'abcdefghij']
  const lines = names.map(
    (name, i) => `${name}: &${name} [${Array(10).fill(i === 0 ? 'x' : `*${names[i - 1]}`)}]`,
  )
  return lines.join('\n')
}

const wrong: readonly (readonly [string, string, RegExp])[] = [
  ['nothing at all', '', /mesh\.istiod\.binary is missing/],
  ['an unknown key', `${least}\nlisten: 0.0.0.0:1\nlistne: x`, /unknown key listne/],
  ['an unknown key inside', 'mesh: {istiod: {binary: /x, binari: /y}}', /unknown key mesh\.istiod\.binari/],
  ['a misspelt required key', 'mesh: {istiod: {binari: /y}}', /unknown key mesh\.istiod\.binari/],
  ['another type', `${least}\nlimits: {joinsAtOnce: many}`, /limits\.joinsAtOnce must be integer/],
  ['a number out of range', `${least}\ncertificates: {agentTtlSeconds: 1}`, /certificates\.agentTtlSeconds/],
  ['a workload life of seconds', `${least}\ncertificates: {workloadTtlSeconds: 59}`, /workloadTtlSeconds/],
  ['a workload life of months', `${least}\ncertificates: {workloadTtlSeconds: 604801}`, /workloadTtlSeconds/],
  ['an unknown mode', 'mesh: {mode: istio, istiod: {binary: /x}}', /mesh\.mode/],
  ['a list', '- a', /keys and values/],
  ['no YAML', 'a: [', /config: /],
  ['a relative folder', `${least}\ndataDir: data`, /dataDir/],
  ['an alias bomb', bomb(), /alias/],
]
for (const [name, text, detail] of wrong) {
  t.test(`${name} is refused with the key's name`, async (t) => {
    t.throws(() => readConfig(text, {}), { code: 'CONFIG_INVALID', detail })
  })
}

t.test('a cluster needs no istiod of its own', async (t) => {
  const { mesh } = readConfig('mesh: {mode: kubernetes, kubernetes: {namespace: mooring-system}}', {})
  t.equal(mesh.istiod.binary, undefined)
  t.match(mesh.kubernetes, {
    namespace: 'mooring-system',
    release: 'mooring',
    istioNamespace: 'istio-system',
  })
  const fromPod = readConfig('', {
    MOORING_MESH_MODE: 'kubernetes',
    MOORING_MESH_KUBERNETES_NAMESPACES: 'shop,bank',
  })
  t.same(fromPod.mesh.kubernetes.namespaces, ['shop', 'bank'])
  for (const [key, value] of [
    ['namespace', 'Mooring'],
    ['istiodAddress', 'gateway'],
    ['kubeconfig', 'relative/file'],
    ['release', ''],
  ]) {
    const text = JSON.stringify({ mesh: { mode: 'kubernetes', kubernetes: { [key as string]: value } } })
    t.throws(() => readConfig(text, {}), {
      code: 'CONFIG_INVALID',
      detail: new RegExp(`mesh\\.kubernetes\\.${key}`),
    })
  }
})

t.test('lives of a minute can be had', async (t) => {
  const lives = { agentTtlSeconds: 60, tokenTtlSeconds: 60, workloadTtlSeconds: 60 }
  t.match(readConfig(JSON.stringify({ ...parse(least), certificates: lives }), {}).certificates, lives)
})

t.test('a variable that is no number is refused by its name', async (t) => {
  const environment = { MOORING_LIMITS_JOINS_AT_ONCE: '3x' }
  t.throws(() => readConfig(least, environment), {
    code: 'CONFIG_INVALID',
    detail: /MOORING_LIMITS_JOINS_AT_ONCE/,
  })
})

t.test('a file that cannot be read is named', async (t) => {
  await t.rejects(loadConfig({ file: '/no/such/file', environment: {} }), {
    code: 'CONFIG_INVALID',
    detail: /\/no\/such\/file/,
  })
})

t.test('hosts and ports', async (t) => {
  t.same(hostAndPort('0.0.0.0:8443', 'listen'), { host: '0.0.0.0', port: 8443 })
  t.same(hostAndPort('[::1]:1', 'listen'), { host: '::1', port: 1 })
  t.same(hostAndPort('name:1', 'listen'), { host: 'name', port: 1 })
  for (const text of ['::1:1', 'x', 'x:', 'x:99999', ':1']) {
    t.throws(() => hostAndPort(text, 'listen'), { code: 'CONFIG_INVALID', detail: /listen/ }, text)
  }
})

function keys(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path]
  const inner = Object.entries(value).flatMap(([key, part]) => keys(part, `${path}.${key}`))
  return (inner.length === 0 ? [path] : inner).toSorted()
}

t.test('the schema refuses what it does not know at every depth', async (t) => {
  const open: string[] = []
  const walk = (schema: unknown, path: string) => {
    const { properties, additionalProperties } = schema as {
      properties?: object
      additionalProperties?: unknown
    }
    if (properties === undefined) return
    if (additionalProperties !== false) open.push(path)
    for (const [key, inner] of Object.entries(properties)) walk(inner, `${path}/${key}`)
  }
  walk(Config, '')
  t.same(open, [])
})
