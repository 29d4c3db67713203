import t from 'tap'
import { storePermissions } from '../../../../../controller/store/kubernetes/permissions.ts'
import { pools, secrets, virtualMachines } from '../../../../../controller/store/kubernetes/resources.ts'

t.test('every kind that is kept is in the table, once, and nothing wide is asked for', async (t) => {
  for (const { group, plural } of [pools, virtualMachines, secrets]) {
    t.equal(
      storePermissions.filter(({ apiGroup, resource }) => apiGroup === group && resource === plural).length,
      1,
      plural,
    )
  }
  for (const { apiGroup, resource, verbs, why } of storePermissions) {
    t.notMatch([apiGroup, resource, ...verbs].join(' '), /\*|escalate|impersonate|bind/)
    t.ok(why.length > 0)
  }
})

t.test('Secrets are read in the controller’s own namespace alone', async (t) => {
  t.same(
    storePermissions.filter(({ where }) => where === 'own').map(({ resource }) => resource),
    ['secrets'],
  )
})
