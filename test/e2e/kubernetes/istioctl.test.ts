import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { adminGet } from '../../world/envoy-admin.ts'
import { waitFor } from '../../world/waiting.ts'
import { echo } from '../../world/world.ts'
import { createKubernetesWorld } from './controller-scene.ts'

t.setTimeout(15 * 60_000)

t.test('Istio’s own tool sees VMs as far as it can see what is no pod', async (t) => {
  const world = await createKubernetesWorld({ name: 'k8sctl', servers: { namespace: 'shop' } })
  t.teardown(() => world.close())
  const { cluster, istiod, network, parts } = world
  // What it shows itself to istiod as; a cluster with its own controllers has it.
  await cluster.tokenFor('istio-system', 'default')
  const [a, b] = [await world.boot('a', 'servers'), await world.boot('b', 'clients')]
  const [id, other] = [(await a.view()).id, (await b.view()).id]
  const istioctl = async (...args: readonly string[]) => {
    const env = { KUBECONFIG: cluster.kubeconfig, HOME: network.tempDir, PATH: process.env.PATH }
    const { code, stdout, stderr } = await network.host.exec(parts.istioctl, args, { env })
    return { code, text: `${stdout}${stderr}` }
  }
  // Where istiod is a pod it is found by itself.
  const atIstiod = [...['--xds-address', `${istiod.address}:15012`, '--authority', istiod.host, '--insecure']]
  const dumpFile = join(network.tempDir, 'dump.json')

  await t.test('proxy-status lists them, each in step with istiod', async (t) => {
    const rows = await waitFor(
      async () => {
        const { text } = await istioctl('proxy-status', '-v', '1', ...atIstiod)
        const found = text.split('\n').filter((line) => line.startsWith('vm-'))
        return found.length === 2 && found.every((line) => !/STALE|NOT SENT/.test(line)) && found
      },
      { what: 'both VMs, in step' },
    )
    t.match(
      rows.toSorted().join('\n'),
      new RegExp(`${[`${id}.shop`, `${other}.default`].toSorted().join('[^]*')}`),
    )
    for (const row of rows) t.match(row, /Kubernetes +SYNCED.* istiod-0 +1\.29\.1/)
  })

  await t.test('proxy-status compares one with istiod, from what its Envoy says', async (t) => {
    await writeFile(dumpFile, await adminGet(a.vm, '/config_dump?include_eds'))
    const { code, text } = await istioctl('proxy-status', `${id}.shop`, '--file', dumpFile, ...atIstiod)
    t.equal(code, 0)
    for (const what of ['Clusters', 'Listeners', 'Routes']) t.match(text, `${what} Match`)
  })

  await t.test('proxy-config reads what its Envoy says, in every view', async (t) => {
    const view = async (...args: readonly string[]) => {
      const { code, text } = await istioctl('proxy-config', ...args, '--file', dumpFile)
      t.equal(code, 0, args.join(' '))
      return text
    }
    t.match(await view('listeners', '--port', '15006'), /Cluster: inbound\|8080\|\|/)
    t.match(await view('clusters', '--fqdn', echo.host), /8080 .* outbound .* EDS/)
    t.match(await view('routes', '--name', '8080'), echo.host)
    t.match(await view('secret'), /default +Cert Chain +ACTIVE +true/)
    t.match(
      await view('bootstrap', '-o', 'json'),
      `sidecar~${a.vm.address}~${id}.shop~shop.svc.cluster.local`,
    )
  })

  await t.test('without a way to the VM, what istiod has for it is read instead', async (t) => {
    const { code, text } = await istioctl(
      'x',
      'internal-debug',
      `config_dump?proxyID=${id}.shop`,
      ...atIstiod,
    )
    t.equal(code, 0)
    await writeFile(dumpFile, text)
    const listeners = await istioctl('proxy-config', 'listeners', '--port', '15006', '--file', dumpFile)
    t.equal(listeners.code, 0)
    t.match(listeners.text, /Cluster: inbound\|8080\|\|/)
  })

  await t.test(
    'analyze finds nothing amiss in what Mooring wrote, and what is amiss all the same',
    async (t) => {
      for (const namespace of ['shop', 'default']) {
        const { code, text } = await istioctl('analyze', '-n', namespace)
        t.equal(code, 0, text)
        t.notMatch(text, /Error|Warning/)
      }
      await cluster.apply([
        {
          apiVersion: 'networking.istio.io/v1',
          kind: 'VirtualService',
          metadata: { name: 'astray', namespace: 'shop' },
          spec: {
            hosts: ['x.shop'],
            http: [{ route: [{ destination: { host: 'missing.shop.internal' } }] }],
          },
        },
        {
          apiVersion: 'networking.istio.io/v1',
          kind: 'VirtualService',
          metadata: { name: 'fine', namespace: 'shop' },
          spec: {
            hosts: [echo.host],
            http: [{ route: [{ destination: { host: echo.host, port: { number: echo.http } } }] }],
          },
        },
      ])
      const { code, text } = await istioctl('analyze', '-n', 'shop')
      t.not(code, 0)
      t.match(text, /IST0101\] \(VirtualService shop\/astray\).*missing\.shop\.internal/)
      t.notMatch(text, /shop\/fine|Sidecar/)
    },
  )

  await t.test('what it looks for among pods alone, it does not find', async (t) => {
    for (const args of [
      ['proxy-config', 'listeners', `${id}.shop`],
      ['x', 'describe', 'pod', `${id}.shop`],
    ]) {
      const { code, text } = await istioctl(...args)
      t.not(code, 0)
      t.match(text, `pods "${id}" not found`)
    }
    await cluster.apply([
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'echo', namespace: 'shop' },
        spec: { selector: { app: 'echo' }, ports: [{ name: 'http', port: 80, targetPort: echo.http }] },
      },
    ])
    t.match((await istioctl('x', 'describe', 'service', 'echo.shop')).text, /"echo.shop" has no pods/)
  })
})
