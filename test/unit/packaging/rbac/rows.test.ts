import t from 'tap'
import { controllerRows, routeRows } from '../../../../packaging/rbac/rows.ts'
import { textOf } from '../../house/source-tree.ts'

const rows = textOf('docs/permissions.md')
  .split('\n')
  .filter((line) => line.startsWith('| '))

t.test('docs/permissions.md says of each route what it asks for', async (t) => {
  t.same(
    rows.filter((row) => /^\| `(GET|PUT|POST|DELETE) /.test(row)),
    routeRows(),
  )
})

t.test('docs/permissions.md says what the controller may do, verb by verb', async (t) => {
  const from = rows.indexOf('| resource | verbs | namespace | why |')
  t.same(rows.slice(from + 2), controllerRows())
})
