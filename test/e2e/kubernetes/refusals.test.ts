import type { ChildProcess } from 'node:child_process'
import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { storePermissions } from '../../../controller/store/kubernetes/permissions.ts'
import { startCluster } from '../../testbed/kubernetes/cluster.ts'
import { kubeconfigText } from '../../testbed/kubernetes/kubeconfig.ts'
import { ensureClusterParts } from '../../testbed/kubernetes/parts.ts'
import { createNetwork } from '../../testbed/network/network.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { waitFor } from '../../world/waiting.ts'
import { controllerAccount, controllerRoles, istioInstallation, namespaceObject } from './mesh-scene.ts'

/** What a controller says that starts in a cluster which is not as it should be: one cluster, step by step. */

t.setTimeout(15 * 60_000)
const project = resolve(import.meta.dirname, '../../..')
const definitions = join(project, 'packaging/helm/crds')
const namespace = 'mooring-system'
const parts = await ensureClusterParts({ progress: silentProgress })
const network = await createNetwork({ name: 'refusals' })
t.teardown(() => network.close())
const cluster = await startCluster({ network, parts, istio: false })
await cluster.apply([namespaceObject(namespace), namespaceObject('shop')])
const kubeconfig = await cluster.kubeconfigFor(controllerAccount)
let controllers = 0

interface Started {
  /** All that it said so far. */
  said(): string
  hears(what: RegExp): Promise<void>
  readonly ended: Promise<number | null>
}

/** A controller that need not come up. */
async function start(t: Test, kubernetes: object): Promise<Started> {
  controllers += 1
  const dataDir = join(network.hostDir, `controller-${controllers}`)
  const config = {
    listen: `0.0.0.0:${8443 + controllers}`,
    dataDir,
    mesh: {
      mode: 'kubernetes',
      kubernetes: { kubeconfig, namespace, istiodAddress: '192.0.2.1:15012', ...kubernetes },
    },
  }
  const file = `${dataDir}.yaml`
  await writeFile(file, JSON.stringify(config))
  const program = [join(project, 'controller/main.ts'), 'run', '--config', file, '--json']
  const child: ChildProcess = network.host.spawn(process.execPath, program, {
    cwd: project,
    env: { PATH: process.env.PATH ?? '', HOME: '/', LANG: 'C.UTF-8' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let text = ''
  child.stderr?.on('data', (part: Buffer) => {
    text += part.toString('utf8')
  })
  const ended = new Promise<number | null>((done) => child.once('close', done))
  t.teardown(() => {
    child.kill('SIGKILL')
    return ended
  })
  return {
    said: () => text,
    async hears(what) {
      await waitFor(() => what.test(text), {
        what: `${what}`,
        limitMs: 180_000,
        onTimeout: () => text.slice(-3_000),
      })
    },
    ended,
  }
}

function storeRoles(wanted: (resource: string, verb: string) => boolean): readonly object[] {
  const rules = storePermissions.map(({ apiGroup, resource, verbs }) => ({
    apiGroups: [apiGroup],
    resources: [resource],
    verbs: verbs.filter((verb) => wanted(resource, verb)),
  }))
  const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: 'mooring-store' } }
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'mooring-store' }
  const subjects = [{ kind: 'ServiceAccount', name: 'mooring', namespace }]
  return [
    { ...rbac, kind: 'ClusterRole', rules: rules.filter(({ verbs }) => verbs.length > 0) },
    { ...rbac, kind: 'ClusterRoleBinding', roleRef, subjects },
  ]
}

t.test('each thing that is missing is named, and what is put right is taken up', async (t) => {
  const controller = await start(t, {})
  await controller.hears(/list pools\.mesh\.mooring/)
  await controller.hears(/list secrets mooring-system/)
  t.match(controller.said(), /may not do this in Kubernetes/)
  await cluster.apply(storeRoles((resource, verb) => !(resource === 'virtualmachines' && verb === 'watch')))
  await controller.hears(/does not know this kind of object[^\n]*virtualmachines\.mesh\.mooring/)
  for (const file of await readdir(definitions)) {
    await cluster.apply(await readFile(join(definitions, file), 'utf8'))
  }
  await controller.hears(/watch virtualmachines\.mesh\.mooring/)
  await cluster.apply(storeRoles(() => true))
  // It waits for Istio, for as long as it is told to, and ends with what it waited for.
  t.not(await controller.ended, 0)
  t.match(controller.said(), /(get|list) (configmaps|services|namespaces)[^\n]* istio-system/)
  t.notMatch(controller.said(), /eyJ[\w-]+\./, 'no token is in what it says')
})

t.test('a mesh, a namespace and credentials that are not there', async (t) => {
  await cluster.apply([...istioInstallation, ...controllerRoles()])
  const wrong = join(network.hostDir, 'expired.kubeconfig')
  const expired = await cluster.authority.issue({
    commonName: 'mooring',
    organizations: ['system:masters'],
    notAfter: new Date(Date.now() - 60_000),
  })
  const { url, ca } = cluster
  await writeFile(wrong, kubeconfigText({ url, ca, user: 'mooring', credentials: expired }))
  const [ofNoMesh, ofNoNamespace, unknown, bare] = [
    await start(t, { revision: 'canary' }),
    await start(t, { namespace: 'nowhere', kubeconfig: cluster.kubeconfig }),
    await start(t, { kubeconfig: wrong }),
    await start(t, { kubeconfig: cluster.kubeconfig }),
  ]
  await unknown.hears(/Kubernetes does not know the controller[^\n]*list pools\.mesh\.mooring/)
  await writeFile(`${wrong}.new`, await readFile(cluster.kubeconfig))
  await rename(`${wrong}.new`, wrong)
  t.not(await ofNoMesh.ended, 0)
  t.match(ofNoMesh.said(), /ConfigMap istio-system\/istio-canary/)
  t.not(await ofNoNamespace.ended, 0)
  t.match(ofNoNamespace.said(), /namespaces \\?"nowhere\\?" not found/)
  t.not(await bare.ended, 0, 'Istio’s definitions are not there')
  t.match(bare.said(), /does not know this kind of object[^\n]*\.istio\.io/)
  // With the new credentials it got as far as that one.
  t.not(await unknown.ended, 0)
  t.match(unknown.said(), /does not know this kind of object[^\n]*\.istio\.io/)
})
