import t from 'tap'
import { readPools } from '../../../cli/pool-document.ts'

const good = `
name: web
spec:
  namespace: shop
  serviceAccount: web
  service:
    host: web.shop.internal
    ports:
      - { name: http, number: 80, target: 8080, protocol: HTTP }
  join:
    methods: [token, renew]
    cidrs: [10.0.0.0/24]
  probe:
    http: { path: /healthz, port: 8080 }
`

t.test('several documents, separators at both ends, and JSON', async (t) => {
  const second = good.replace('name: web', 'name: api')
  t.same(
    readPools(`---${good}---${second}---\n`, 'f').map((pool) => pool.name),
    ['web', 'api'],
  )
  t.equal(readPools(JSON.stringify(readPools(good, 'f')[0]), 'f')[0]?.spec.namespace, 'shop')
})

t.test('a mistake is named by file, line and field', async (t) => {
  const cases: [string, string, RegExp][] = [
    ['namespace: shop', 'namespace: Shop', /^f\.yaml:4: spec\.namespace: must match/],
    ['namespace: shop', 'namspace: shop', /^f\.yaml:4: spec\.namspace: there is no such field/],
    ['  serviceAccount: web\n', '', /^f\.yaml:4: spec\.serviceAccount: is missing/],
    ['number: 80', 'number: 80000', /^f\.yaml:9: spec\.service\.ports\.0\.number: must be <= 65535/],
    ['protocol: HTTP', 'protocol: HTPP', /spec\.service\.ports\.0\.protocol: must be one of HTTP, HTTP2/],
    ['[token, renew]', '[tokn]', /^f\.yaml:11: spec\.join\.methods\.0: must be one of token, renew/],
    ['path: /healthz', 'pth: /healthz', /^f\.yaml:14: spec\.probe\.http\.pth: there is no such field/],
    ['[10.0.0.0/24]', '[10.0.0.0/24', /^f\.yaml:\d+: /],
    ['name: web\n', 'name: web\nname: web\n', /^f\.yaml:3: .*unique/],
    ['name: web\n', '', /name: is missing/],
  ]
  for (const [from, to, expected] of cases) {
    t.throws(
      () => readPools(good.replace(from, to), 'f.yaml'),
      { code: 'CONFIG_INVALID', detail: expected },
      to,
    )
  }
})

t.test('the line is that of the second document, where the mistake is there', async (t) => {
  const text = `${good}---\n${good.replace('name: web', 'name: api').replace('number: 80', 'number: 0')}`
  t.throws(() => readPools(text, 'f'), {
    code: 'CONFIG_INVALID',
    detail: /^f:24: spec\.service\.ports\.0\.number/,
  })
})

t.test('nothing, too much, and the same pool twice are refused', async (t) => {
  t.throws(() => readPools('', 'f'), { code: 'CONFIG_INVALID', detail: /no pool in it/ })
  t.throws(() => readPools('---\n---\n', 'f'), { code: 'CONFIG_INVALID', detail: /no pool in it/ })
  t.throws(() => readPools('- just\n- a list', 'f'), {
    code: 'CONFIG_INVALID',
    detail: /the document: must be object/,
  })
  t.throws(() => readPools(`${good}---${good}`, 'f'), {
    code: 'CONFIG_INVALID',
    detail: /"web" is in it twice/,
  })
  t.throws(() => readPools(`# ${'x'.repeat(300_000)}`, 'f'), {
    code: 'CONFIG_INVALID',
    detail: /longer than/,
  })
})

t.test('a document that unfolds without end is refused', async (t) => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]']
  for (let i = 0; i < 8; i += 1) {
    const [here, there] = [String.fromCharCode(98 + i), String.fromCharCode(97 + i)]
    bomb.push(
      `${here}: &${here} [*${there}, *${there}, *${there}, *${there}, *${there}, *${there}, *${there}]`,
    )
  }
  t.throws(() => readPools(bomb.join('\n'), 'f'), { code: 'CONFIG_INVALID' })
})
