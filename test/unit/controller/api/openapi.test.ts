import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { openapiDocument } from '../../../../controller/api/openapi.ts'

t.test('docs/openapi.json is current', async (t) => {
  const kept = readFileSync(resolve(import.meta.dirname, '../../../../docs/openapi.json'), 'utf8')
  t.ok(kept === (await openapiDocument()), 'node controller/main.ts openapi > docs/openapi.json')
})

t.test('it says who may call each route, and what errors look like', async (t) => {
  const document = JSON.parse(await openapiDocument())
  t.match(document.openapi, /^3\.1/)
  const open: string[] = []
  for (const [path, methods] of Object.entries<Record<string, Operation>>(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      t.ok(operation.summary, `${method} ${path} has a summary`)
      t.ok(
        operation.responses.default?.content?.['application/problem+json'],
        `${method} ${path} has problems`,
      )
      if (operation.security.length === 0) open.push(`${method} ${path}`)
    }
  }
  t.same(open.toSorted(), [
    'get /healthz',
    'get /openapi.json',
    'get /readyz',
    'get /v1/challenge',
    'post /v1/enrol',
    'post /v1/join',
  ])
})

interface Operation {
  readonly summary?: string
  readonly security: readonly unknown[]
  readonly responses: { readonly default?: { readonly content?: Readonly<Record<string, unknown>> } }
}
