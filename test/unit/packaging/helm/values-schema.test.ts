import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { Value } from 'typebox/value'
import { parse } from 'yaml'
import { imageName } from '../../../../packaging/container/contents.ts'
import { valuesSchema } from '../../../../packaging/helm/values-schema.ts'

const chart = path.resolve(import.meta.dirname, '../../../../packaging/helm/chart')
const textOf = (name: string) => readFileSync(path.join(chart, name), 'utf8')
const values = parse(textOf('values.yaml'))
const fits = (changes: object) => Value.Check(valuesSchema(), { ...values, ...changes })

t.test('the file is what the controller’s options say', async (t) => {
  t.same(
    JSON.parse(textOf('values.schema.json')),
    valuesSchema(),
    'node packaging/helm/write-schema.ts writes it anew',
  )
})

t.test('the chart’s own values fit, and what it does not know is refused', async (t) => {
  t.ok(fits({}))
  t.ok(fits({ config: { sidecar: { artifacts: [{ version: '1.29.1', arch: 'amd64', file: '/a' }] } } }))
  t.notOk(fits({ replica: 2 }))
  t.notOk(fits({ advertise: 'one' }))
  t.notOk(fits({ config: { mesh: { istiod: { adress: 'x' } } } }), 'a typo in the controller’s options')
  t.notOk(fits({ config: { sidecar: { artifacts: [{ version: '1.29.1' }] } } }), 'what has no default')
  t.notOk(fits({ mesh: { ...values.mesh, namespaces: ['Not a name'] } }))
})

t.test('every value is used by a template, and every template uses what there is', async (t) => {
  const templates = readdirSync(path.join(chart, 'templates')).map((name) => textOf(`templates/${name}`))
  const used = new Set(
    templates.flatMap((text) => [...text.matchAll(/\.Values\.(\w+)/g)].map(([, name = '']) => name)),
  )
  t.same([...used].toSorted(), Object.keys(values).toSorted())
})

t.test('chart, application and image are of one version', async (t) => {
  const { version } = JSON.parse(readFileSync(path.join(chart, '../../../package.json'), 'utf8'))
  t.match(parse(textOf('Chart.yaml')), { version, appVersion: version })
  t.equal(values.image.repository, imageName)
})
