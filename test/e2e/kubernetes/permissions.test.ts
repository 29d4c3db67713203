import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { controllerRoles } from '../../../packaging/rbac/controller-roles.ts'
import { operatorRoles } from '../../../packaging/rbac/operator-roles.ts'
import type { AuditRecord, PoolView, VmView } from '../../../shared/api/operator.ts'
import type { WhoAmI } from '../../../shared/api/who-am-i.ts'
import { loopbackPool, startController } from '../../fakes/controller.ts'
import { mustRun } from '../../testbed/command.ts'
import { startCluster } from '../../testbed/kubernetes/cluster.ts'
import { ensureClusterParts, ensureIstiodParts } from '../../testbed/kubernetes/parts.ts'
import { createNetwork } from '../../testbed/network/network.ts'
import { silentProgress as progress } from '../../testbed/progress.ts'
import { waitFor } from '../../world/waiting.ts'
import { controllerAccount, istioInstallation, namespaceObject } from './mesh-scene.ts'

t.setTimeout(15 * 60_000)

/** A controller in this process over a real API server with RBAC on; of Istio there is what an installation leaves. */
const network = await createNetwork({ name: 'k8sperm' })
t.teardown(() => network.close())
const cluster = await startCluster({ network, parts: await ensureClusterParts({ progress }) })
const charts = resolve(import.meta.dirname, '../../../packaging/helm')
for (const file of await readdir(join(charts, 'crds'))) {
  await cluster.apply(await readFile(join(charts, 'crds', file), 'utf8'))
}
await cluster.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=90s'])
const namespace = 'mooring-system'
const installation = { name: 'mooring', namespace, account: 'mooring', istioNamespace: 'istio-system' }
const roles = controllerRoles(installation)
const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1' }
const roleName = (suffix: string) => `${namespace}:mooring-${suffix}`
await cluster.apply(istioInstallation)
await cluster.apply([namespace, 'shop', 'data'].map(namespaceObject))
await cluster.apply([
  ...roles,
  ...operatorRoles.map(({ suffix, rules }) => ({
    ...rbac,
    kind: 'ClusterRole',
    metadata: { name: roleName(suffix) },
    rules,
  })),
])
const kubeconfig = await cluster.kubeconfigFor(controllerAccount)
const house = await startController({
  config: {
    mesh: { mode: 'kubernetes', kubernetes: { kubeconfig, namespace, istiodAddress: '192.0.2.1:15012' } },
  },
})
t.teardown(() => house.close())
await house.applyPool('web', { namespace: 'shop', serviceAccount: 'web' })
await house.applyPool('db', { namespace: 'data', serviceAccount: 'db' })
const vms: Record<string, string> = {}
const tokens: Record<string, string> = {}
for (const [pool, address] of [
  ['web', '10.0.0.1'],
  ['db', '10.0.0.2'],
] as const) {
  const { id, token } = await house.token(pool, { uses: 5 })
  const agent = await house.agent({ pool, token, address })
  await agent.join()
  vms[pool] = agent.vm
  tokens[pool] = id
}

/** Gives an account of `shop` one of the operators' roles, in a namespace or everywhere. */
function bind(account: string, suffix: string, where?: string): Promise<void> {
  const name = `${account}-${suffix}`
  const subjects = [{ kind: 'ServiceAccount', name: account, namespace: 'shop' }]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: roleName(suffix) }
  const kind = where === undefined ? 'ClusterRoleBinding' : 'RoleBinding'
  const metadata = { name, ...(where !== undefined && { namespace: where }) }
  return cluster.apply([{ ...rbac, kind, metadata, subjects, roleRef }])
}

const tokenOf = (account: string) => cluster.tokenFor('shop', account, { audience: 'mooring' })

async function ask(token: string, method: string, path: string, body?: unknown) {
  const { status, text } = await house.call(method, path, body, { token })
  const { code = '', detail = '' } =
    status >= 400 ? (JSON.parse(text) as { code?: string; detail?: string }) : {}
  return { status, code, detail, text }
}

t.test(
  'an account of a namespace sees the pools and VMs of that namespace, and does what it may',
  async (t) => {
    const token = await tokenOf('deployer')
    const name = 'kubernetes:system:serviceaccount:shop:deployer'
    const me = JSON.parse((await ask(token, 'GET', '/v1/whoami')).text) as WhoAmI
    t.match(me, { name, by: 'kubernetes', expiresAt: Number })
    t.notOk('role' in me)
    t.match(await ask(token, 'GET', '/v1/vms'), {
      status: 403,
      detail: 'it needs list on virtualmachines.mesh.mooring in a namespace with pools',
    })

    await bind('deployer', 'view', 'shop')
    await waitFor(async () => (await ask(token, 'GET', '/v1/vms')).status === 200, { what: 'its permission' })
    const listed = JSON.parse((await ask(token, 'GET', '/v1/vms')).text) as VmView[]
    t.same(
      listed.map(({ id }) => id),
      [vms.web],
    )
    const pools = JSON.parse((await ask(token, 'GET', '/v1/pools')).text) as PoolView[]
    t.same(
      pools.map((pool) => pool.name),
      ['web'],
    )
    t.match(await ask(token, 'GET', '/v1/pools/db'), {
      status: 403,
      detail: 'it needs get on pools.mesh.mooring in the namespace of pool db',
    })
    t.match(await ask(token, 'GET', `/v1/vms/${vms.db}`), { status: 404, code: 'NOT_FOUND' })
    t.match(await ask(token, 'POST', `/v1/vms/${vms.web}/drain`, { after: 'hold' }), {
      status: 403,
      detail: 'it needs create on virtualmachines.mesh.mooring/drain in the namespace of its pool',
    })

    await bind('deployer', 'edit', 'shop')
    const drain = () => ask(token, 'POST', `/v1/vms/${vms.web}/drain`, { after: 'hold' })
    await waitFor(async () => (await drain()).status === 202, { what: 'the permission to drain' })
    t.equal((await ask(token, 'POST', '/v1/tokens', { pool: 'web' })).status, 201)
    t.equal((await ask(token, 'POST', '/v1/tokens', { pool: 'db' })).status, 403)
    const spec = { ...loopbackPool, namespace: 'shop', serviceAccount: 'api' }
    t.match(await ask(token, 'PUT', '/v1/pools/api', spec), {
      status: 403,
      detail: 'it needs create on pools.mesh.mooring in the namespace shop',
    })
    const audit = (await house.call<AuditRecord[]>('GET', '/v1/audit?limit=1000')).json()
    const of = (action: string) =>
      audit.filter((one) => one.action === action && one.actor === `operator:${name}`)
    t.match(of('vm.drain').at(-1), { outcome: 'done', target: `vm/${vms.web}` })
    t.match(of('put /v1/pools/:name').at(-1), { outcome: 'denied', code: 'FORBIDDEN' })

    await cluster.kubectl(['delete', 'rolebinding', 'deployer-edit', '-n', 'shop'])
    await waitFor(async () => (await drain()).status === 403, { what: 'what was taken back to be gone' })
  },
)

t.test('a token for somebody else, or of somebody who is gone, opens nothing', async (t) => {
  for (const token of [
    await cluster.tokenFor('shop', 'deployer'),
    await cluster.tokenFor('shop', 'deployer', { audience: 'istio-ca' }),
    `${await tokenOf('deployer')}x`,
    cluster.tokens.admin ?? '',
  ]) {
    t.match(await ask(token, 'GET', '/v1/whoami'), { status: 401, code: 'UNAUTHENTICATED' })
  }
  const token = await tokenOf('leaver')
  t.equal((await ask(token, 'GET', '/v1/whoami')).status, 200)
  await cluster.kubectl(['delete', 'serviceaccount', 'leaver', '-n', 'shop'])
  await waitFor(async () => (await ask(token, 'GET', '/v1/whoami')).status === 401, {
    what: 'it to be nobody',
  })
})

t.test('without a role no route but whoami opens; with all of the chart’s, every one does', async (t) => {
  const requests: Record<string, unknown> = {
    'PUT /v1/pools/:name': { ...loopbackPool, namespace: 'shop', serviceAccount: 'web' },
    'POST /v1/tokens': { pool: 'web' },
    'POST /v1/injections': { pool: 'web', credential: 'none', targets: [{ host: '192.0.2.9' }] },
    'POST /v1/operators': { name: 'made', role: 'viewer' },
    'POST /v1/operators/:name/certificate': { password: 'long enough' },
    'POST /v1/vms/:id/drain': { after: 'hold' },
  }
  const [nobody, boss] = [await tokenOf('nobody'), await tokenOf('boss')]
  for (const { suffix } of operatorRoles) await bind('boss', suffix)
  for (const { method, url, access } of house.controller.server.rules) {
    const route = `${method} ${url}`
    if (access.by !== 'operator' || route === 'GET /v1/vms/events' || route === 'GET /v1/whoami') continue
    const id = access.pool === 'token' ? tokens.web : vms.web
    const name = url.startsWith('/v1/pools') ? 'web' : 'absent'
    const path = url
      .replace(
        ':sha256',
        `${'0'.repeat(64)}${method === 'PUT' ? '?version=1&arch=amd64&size=9&offset=0' : ''}`,
      )
      .replace(':name', name)
      .replace(':id', id ?? '')
    const refused = await ask(nobody, method, path, requests[route])
    t.ok(refused.status === 403 || refused.status === 404, `${route}: ${refused.status} for nobody`)
    // Gone already, still in use, or of another kind: judged by what it does, no longer by who asks.
    const allowed = await ask(boss, method, path, requests[route])
    t.notMatch(allowed, { status: 401 }, route)
    t.notMatch(allowed, { status: 403 }, `${route}: ${allowed.detail}`)
  }
})

t.test('the controller has the permissions of its tables, and none beside', async (t) => {
  const can = async (...what: readonly string[]) => {
    const { stdout } = await cluster
      .kubectl(['auth', 'can-i', ...what, `--as=${controllerAccount}`])
      // It ends with 1 where the answer is no.
      .catch((error: Error) => ({ stdout: /^(yes|no)\b/m.exec(error.message)?.[0] ?? error.message }))
    return stdout.trim()
  }
  t.equal(
    await can('patch', 'workloadentries.networking.istio.io', '--subresource=status', '-n', 'shop'),
    'yes',
  )
  t.equal(await can('get', 'secrets', '-n', namespace), 'yes')
  for (const what of [
    ['get', 'secrets', '-n', 'shop'],
    ['list', 'secrets', '-n', 'istio-system'],
    ['get', 'configmaps/other', '-n', 'istio-system'],
    ['update', 'workloadentries.networking.istio.io', '-n', 'shop'],
    ['delete', 'namespaces'],
    ['list', 'nodes'],
    ['create', 'pods', '-n', 'shop'],
    ['impersonate', 'users'],
    ['create', 'clusterrolebindings.rbac.authorization.k8s.io'],
  ]) {
    t.match(await can(...what), /^no/, what.join(' '))
  }
})

t.test('a permission that the controller lacks is named by verb and resource', async (t) => {
  const token = await tokenOf('deployer')
  type Role = {
    kind: string
    metadata: { name: string; namespace?: string }
    rules?: { resources: string[] }[]
  }
  const lacking = (resource: string) =>
    cluster.apply(
      (roles as Role[])
        .filter(({ kind }) => kind === 'ClusterRole')
        .map((role) => ({
          ...role,
          rules: role.rules?.filter(({ resources }) => !resources.includes(resource)),
        })),
    )
  t.teardown(() => cluster.apply(roles))

  await lacking('tokenreviews')
  const review = await waitFor(
    async () => {
      const answer = await ask(`${token}.${Math.random()}`, 'GET', '/v1/whoami')
      return answer.status === 500 && answer
    },
    { what: 'its review to be refused' },
  )
  t.match(review, { code: 'KUBERNETES_FORBIDDEN', detail: 'create tokenreviews.authentication.k8s.io' })
  t.equal((await house.call('GET', '/v1/whoami')).status, 200, 'an operator of its own gets in')

  await lacking('subjectaccessreviews')
  const access = await waitFor(
    async () => {
      const answer = await ask(token, 'GET', '/v1/pools/db')
      return answer.code === 'KUBERNETES_FORBIDDEN' && answer
    },
    { what: 'its question to be refused' },
  )
  t.match(access.detail, 'create subjectaccessreviews.authorization.k8s.io')

  await lacking('serviceaccounts/token')
  const { token: joinToken } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token: joinToken, address: '10.0.0.3' })
  await t.rejects(agent.join(), {
    code: 'KUBERNETES_FORBIDDEN',
    detail: /^create serviceaccounts\/token shop\/web/,
  })
})

t.test('without its API server the cluster’s operators wait, and its own get in', async (t) => {
  const token = await tokenOf('boss')
  await waitFor(async () => (await ask(token, 'GET', '/v1/vms')).status === 200, { what: 'all to be well' })
  await cluster.apiServer.kill()
  const away = await waitFor(
    async () => {
      const answer = await ask(token, 'GET', '/v1/vms')
      return answer.status === 503 && answer
    },
    { what: 'what was known of it to be too old' },
  )
  t.match(away, { code: 'STORE_UNAVAILABLE' })
  t.equal((await house.call('GET', '/v1/vms')).status, 200)
  await cluster.apiServer.start()
  await waitFor(async () => (await ask(token, 'GET', '/v1/vms')).status === 200, { what: 'the API server' })
  t.ok((await house.vms()).some(({ id }) => id === vms.db))
})

t.test('helm makes the same roles', async (t) => {
  const { helm } = await ensureIstiodParts({ progress })
  const options = ['--namespace', namespace, '--kube-version', '1.35.0', '--show-only', 'templates/rbac.yaml']
  const render = async (...values: readonly string[]) => {
    const argv = ['template', 'mooring', join(charts, 'chart'), ...options, ...values]
    const { stdout } = await mustRun(helm, argv)
    return parseAllDocuments(stdout).map((document) => {
      const { labels: _, ...metadata } = document.toJS().metadata
      return { ...document.toJS(), metadata }
    })
  }
  const isOperators = (name: string) => operatorRoles.some(({ suffix }) => name === roleName(suffix))
  const comparable = (made: readonly object[]) =>
    (made as readonly { metadata: { name: string }; rules?: readonly object[] }[])
      .filter(({ metadata }) => !isOperators(metadata.name))
      .map(({ rules, ...rest }) => canonical({ ...rest, rules: rules?.map(canonical).toSorted() }))
      .toSorted()
  t.same(comparable(await render()), comparable(roles))
  const places = { ...installation, namespaces: ['shop', 'data'], revisions: ['canary', 'old'] }
  const values = ['mesh.namespaces={shop,data}', 'mesh.revision=canary', 'mesh.revisions={old}']
  t.same(
    comparable(await render('--set', values.join(','), '--set', 'mesh.rootNamespace=root')),
    comparable(controllerRoles({ ...places, rootNamespace: 'root' })),
  )
})

/** The same text for the same content, in whatever order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (Array.isArray(part) && part.every((one) => typeof one === 'string')) return part.toSorted()
    return typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part
  })
}
