import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { createMetrics, metricCatalogue } from '../../../controller/metrics.ts'

t.test('figures are read in the text format, gauges filled when they are', async (t) => {
  const metrics = createMetrics()
  let ready = 3
  metrics.onRead(() => {
    metrics.reset('mooring_vms')
    metrics.set('mooring_vms', { pool: 'web', phase: 'ready' }, ready)
  })
  metrics.count('mooring_joins_total', { method: 'token', result: 'admitted' }, 2)
  metrics.observe('mooring_join_seconds', { method: 'token' }, 0.2)
  const { text, type } = await metrics.read()
  t.match(type, /text\/plain/)
  t.match(text, 'mooring_joins_total{method="token",result="admitted"} 2')
  t.match(text, 'mooring_vms{pool="web",phase="ready"} 3')
  t.match(text, 'mooring_join_seconds_count{method="token"} 1')
  ready = 4
  t.match((await metrics.read()).text, 'mooring_vms{pool="web",phase="ready"} 4')
})

t.test('names follow the conventions of Prometheus', async (t) => {
  for (const [name, { type }] of Object.entries(metricCatalogue)) {
    t.match(name, /^mooring_[a-z_]+$/)
    t.equal(name.endsWith('_total'), type === 'counter', name)
    if (type === 'histogram') t.match(name, /_seconds$/)
  }
})

t.test('two controllers in one process do not mix their figures', async (t) => {
  const [one, two] = [createMetrics(), createMetrics()]
  one.count('mooring_clones_total', {})
  t.match((await one.read()).text, /^mooring_clones_total 1$/m)
  t.match((await two.read()).text, /^mooring_clones_total 0$/m)
})

t.test('every figure is counted by somebody', async (t) => {
  const folder = resolve(import.meta.dirname, '../../../controller')
  const code = globSync('**/*.ts', { cwd: folder })
    .filter((file) => file !== 'metrics.ts')
    .map((file) => readFileSync(resolve(folder, file), 'utf8'))
    .join('\n')
  for (const name of Object.keys(metricCatalogue)) t.ok(code.includes(`'${name}'`), name)
})
