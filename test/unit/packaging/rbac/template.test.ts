import t from 'tap'
import { controllerPermissions } from '../../../../controller/kubernetes/permissions.ts'
import { renderTemplate } from '../../../../packaging/rbac/template.ts'
import { textOf } from '../../house/source-tree.ts'

const text = renderTemplate()

t.test('the chart has the roles as the tables say', async (t) => {
  t.equal(
    textOf('packaging/helm/chart/templates/rbac.yaml'),
    text,
    'node packaging/rbac/write.ts writes it anew',
  )
})

t.test('each rule stands there with its reason, and none is wide', async (t) => {
  for (const { resource, verbs, why } of controllerPermissions({ istioNamespace: 'i', revisions: [''] })) {
    const rule = `# ${why}\n- apiGroups`
    t.ok(text.includes(rule), why)
    t.ok(text.includes(`resources: [${resource}]`), resource)
    t.ok(text.includes(`verbs: [${verbs.join(', ')}]`), verbs.join())
  }
  t.notMatch(text, /\[['"]?\*|escalate|impersonate|\bbind\b/)
})
