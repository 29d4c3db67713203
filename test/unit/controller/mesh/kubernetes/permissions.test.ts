import t from 'tap'
import { meshPermissions } from '../../../../../controller/mesh/kubernetes/permissions.ts'
import { meshTypes } from '../../../../../controller/mesh/kubernetes/resource-types.ts'

const table = meshPermissions({ istioNamespace: 'istio-system', revisions: ['', 'canary'] })

t.test('every kind that is written is in the table, and nothing is there twice', async (t) => {
  for (const { group, plural } of Object.values(meshTypes)) {
    t.ok(
      table.some(({ apiGroup, resource }) => apiGroup === group && resource === plural),
      plural,
    )
  }
  const keys = table.map(({ where, apiGroup, resource }) => `${where} ${resource}.${apiGroup}`)
  t.equal(new Set(keys).size, keys.length)
})

t.test(
  'it asks for nothing wide: no wildcard, no reading of Secrets, configuration by name alone',
  async (t) => {
    for (const { apiGroup, resource, verbs, why } of table) {
      t.notMatch([apiGroup, resource, ...verbs].join(' '), /\*|escalate|impersonate|bind/)
      t.ok(why.length > 0)
    }
    t.same(table.find(({ resource }) => resource === 'secrets')?.verbs, ['create', 'delete'])
    const names = table.find(({ resource }) => resource === 'configmaps')?.names
    t.same(names, [
      'istio-ca-root-cert',
      'istio',
      'istio-sidecar-injector',
      'istio-canary',
      'istio-sidecar-injector-canary',
    ])
    t.same(table.find(({ resource }) => resource === 'namespaces')?.names, ['istio-system'])
  },
)
