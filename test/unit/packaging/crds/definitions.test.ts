import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { renderDefinitions } from '../../../../packaging/crds/definitions.ts'
import { PoolSpec } from '../../../../shared/api/operator.ts'

const folder = path.resolve(import.meta.dirname, '../../../../packaging/helm/crds')

type Schema = { [key: string]: unknown } & { properties: Record<string, Schema> }
function schemaOf(name: string): Schema {
  const crd = parse(renderDefinitions().get(name) ?? '')
  return crd.spec.versions[0].schema.openAPIV3Schema
}

t.test('the files are what the schemas say', async (t) => {
  const definitions = renderDefinitions()
  t.same(readdirSync(folder).toSorted(), [...definitions.keys()].toSorted())
  for (const [name, text] of definitions) {
    t.equal(
      readFileSync(path.join(folder, name), 'utf8'),
      text,
      `node packaging/crds/write.ts writes ${name} anew`,
    )
  }
})

t.test('a pool has every field of the API but its namespace', async (t) => {
  const { properties } = schemaOf('pools.yaml')
  const { namespace, ...fields } = PoolSpec.properties
  t.ok(namespace)
  t.same(Object.keys(properties.spec?.properties ?? {}).toSorted(), Object.keys(fields).toSorted())
  t.same(properties.spec?.required, ['serviceAccount', 'join'])
})

t.test('every value has a type, and no keyword is one that Kubernetes refuses', async (t) => {
  const walk = (schema: Schema, at: string): string[] => {
    const faults =
      schema.type === undefined && !schema['x-kubernetes-int-or-string'] ? [`${at}: no type`] : []
    for (const key of ['patternProperties', 'const', '$ref', 'oneOf', 'not', '$id']) {
      if (key in schema) faults.push(`${at}: ${key}`)
    }
    if (schema.additionalProperties === false) faults.push(`${at}: additionalProperties`)
    const inner = Object.entries(schema.properties ?? {})
    if (schema.items !== undefined) inner.push(['[]', schema.items as Schema])
    if (typeof schema.additionalProperties === 'object')
      inner.push(['{}', schema.additionalProperties as Schema])
    return [...faults, ...inner.flatMap(([key, value]) => walk(value, `${at}.${key}`))]
  }
  t.same(
    [...renderDefinitions().keys()].flatMap((name) => walk(schemaOf(name), name)),
    [],
  )
})
