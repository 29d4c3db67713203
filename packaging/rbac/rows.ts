import { type RouteAttributes, routeAttributes } from '../../controller/auth/kubernetes/attributes.ts'
import type { Permission } from '../../controller/kubernetes/permission.ts'
import { controllerPermissions } from '../../controller/kubernetes/permissions.ts'

const places: Record<Permission['where'], string> = {
  pools: 'of pools',
  own: "the controller's",
  istio: "istiod's",
  root: "the mesh's root",
  cluster: 'none',
}

/** Rows of docs/permissions.md: what each route asks of Kubernetes. */
export function routeRows(): readonly string[] {
  return Object.entries(routeAttributes).map(
    ([route, attributes]) => `| \`${route}\` | ${attributesCells(attributes)} |`,
  )
}

function attributesCells(attributes: RouteAttributes): string {
  if (attributes.of === 'nothing') return '– | – | –'
  if (attributes.of === 'path') return `the path \`${attributes.path}\` | \`${attributes.verb}\` | –`
  const { of, resource, subresource, verb, verbIfNew } = attributes
  const what = subresource === undefined ? resource : `${resource}/${subresource}`
  const verbs = verbIfNew === undefined ? `\`${verb}\`` : `\`${verb}\`; \`${verbIfNew}\` where it is new`
  return `\`${what}\` | ${verbs} | ${of === 'pool' ? "the pool's" : 'all'}`
}

/** Rows of docs/permissions.md: what the controller may do in a cluster, and why. */
export function controllerRows(): readonly string[] {
  return controllerPermissions({ istioNamespace: 'istio-system', revisions: [''] }).map(
    ({ where, apiGroup, resource, verbs, names, why }) => {
      const what = apiGroup === '' ? resource : `${resource} (${apiGroup})`
      const only = names === undefined ? '' : `, only ${names.map((name) => `\`${name}\``).join(', ')}`
      return `| ${what}${only} | ${verbs.join(', ')} | ${places[where]} | ${why} |`
    },
  )
}
