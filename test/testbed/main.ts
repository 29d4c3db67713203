/** `npm run testbed`: the real mesh's parts on this machine, and a network of virtual machines to try things in. */
import { parseArgs } from 'node:util'
import { startCluster } from './kubernetes/cluster.ts'
import { startControllers } from './kubernetes/controllers.ts'
import { startIstiod } from './kubernetes/istiod.ts'
import { startNode } from './kubernetes/node.ts'
import { ensureClusterParts, ensureIstiodParts, ensureNodeParts } from './kubernetes/parts.ts'
import { machinesObstacle } from './machines/obstacle.ts'
import { ensureDisk } from './machines/parts.ts'
import { createNetwork, type Network } from './network/network.ts'
import { collectStale } from './network/removal.ts'
import { oldestIstio } from './parts/istio.ts'
import { ensureParts, type Parts } from './parts/parts.ts'
import { createProgress } from './progress.ts'
import { TestbedError } from './testbed-error.ts'

const usage = `npm run testbed [-- COMMAND] [-- OPTIONS]

  up       get the parts, make a network with VMs, stay until Ctrl-C   (default)
  fetch    get the parts only: minutes the first time, nothing after
  kubernetes
           like \`up\`, with a Kubernetes API server, a node for pods, and istiod
  boot     get what machines that really boot are made of: minutes the first time;
           exit code 3 where this machine cannot boot others
  clean    take away what testbeds left whose process is gone

  --vms N     how many VMs \`up\` makes  (2)
  --name S    shows in the names of namespaces  (testbed)
  --without-node
              \`kubernetes\`: no node, which is seconds quicker and needs less of this machine
  --kubernetes  \`fetch\`: the parts of a Kubernetes cluster too
  --json      print the result as one JSON line on standard output
  --help      print this
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    vms: { type: 'string', default: '2' },
    name: { type: 'string', default: 'testbed' },
    kubernetes: { type: 'boolean', default: false },
    'without-node': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const stopping = new AbortController()
// The second signal is Node's own: it ends the process at once, and the reaper does what is left.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => stopping.abort(new Error('stopped')))

const progress = createProgress({
  write: (text) => process.stderr.write(text),
  live: process.stderr.isTTY === true,
  columns: process.stderr.columns ?? 100,
})

async function fetchParts(): Promise<Parts> {
  return ensureParts({ progress, signal: stopping.signal })
}

async function fetchCluster(): Promise<void> {
  const request = { progress, signal: stopping.signal }
  await ensureClusterParts(request)
  await ensureIstiodParts(request)
  await ensureIstiodParts({ ...request, release: oldestIstio })
  await ensureNodeParts(request)
}

async function fetchMachines(): Promise<void> {
  const obstacle = await machinesObstacle()
  if (obstacle === undefined) {
    const disk = await ensureDisk({ progress, signal: stopping.signal })
    print({ event: 'machines', ...disk }, 'Machines can boot.')
  } else {
    process.exitCode = 3
    print({ event: 'obstacle', obstacle }, `No machines can boot here: ${obstacle}.`)
  }
}

async function up(): Promise<void> {
  const parts = await fetchParts()
  const network = await openNetwork()
  print({ event: 'up', parts, ...describe(network) }, guide(network))
  await takenAway(network)
}

async function upWithCluster(): Promise<void> {
  const request = { progress, signal: stopping.signal }
  await fetchParts()
  const clusterParts = await ensureClusterParts(request)
  const istiodParts = await ensureIstiodParts(request)
  const nodeParts = values['without-node'] ? undefined : await ensureNodeParts(request)
  const network = await openNetwork()
  const step = progress.start('Kubernetes and istiod')
  try {
    const { signal } = stopping
    const cluster = await startCluster({ network, parts: clusterParts, signal })
    const [istiod] = await Promise.all([
      startIstiod({ network, cluster, parts: istiodParts, signal }),
      ...(nodeParts === undefined
        ? []
        : [
            startControllers({ network, cluster, parts: nodeParts, signal }),
            startNode({ network, cluster, parts: nodeParts, signal }),
          ]),
    ])
    step.done()
    const { url, kubeconfig } = cluster
    const shown = { url, kubeconfig, kubectl: clusterParts.kubectl, istiod: istiod.address }
    print({ event: 'up', ...describe(network), cluster: shown }, `${guide(network)}\n${clusterGuide(shown)}`)
  } catch (error) {
    step.failed()
    await network.close()
    throw error
  }
  await takenAway(network)
}

async function openNetwork(): Promise<Network> {
  const step = progress.start('network')
  let network: Network | undefined
  try {
    network = await createNetwork({ name: values.name, signal: stopping.signal })
    for (let i = 1; i <= Number(values.vms); i++) await network.addVm(`vm${i}`)
    step.done(`${network.vms.length} VMs`)
    return network
  } catch (error) {
    step.failed()
    await network?.close()
    throw error
  }
}

async function takenAway(network: Network): Promise<void> {
  await stopped()
  const cleaning = progress.start('taking the network away')
  await network.close()
  cleaning.done()
}

function stopped(): Promise<void> {
  return new Promise((resolve) => {
    if (stopping.signal.aborted) return resolve()
    // Signal handlers keep no process alive.
    const alive = setInterval(() => {}, 60_000)
    stopping.signal.addEventListener('abort', () => {
      clearInterval(alive)
      resolve()
    })
  })
}

function describe(network: Network) {
  const { id, host, hostAddress, uplink, tempDir } = network
  const vms = network.vms.map(({ name, namespace, address, address6, root }) => ({
    name,
    namespace,
    address,
    address6,
    root,
  }))
  return { id, host: host.name, hostAddress, uplink, tempDir, vms }
}

function guide(network: Network): string {
  const rows = [
    ['host', `${network.hostAddress}, from here ${network.uplink.inside}`, network.host.path],
    ...network.vms.map((vm) => [vm.name, `${vm.address}  ${vm.address6}`, vm.path]),
  ]
  const width = Math.max(...rows.map(([name = '']) => name.length))
  const list = rows.map(
    ([name = '', addresses, path]) =>
      `  ${name.padEnd(width)}  ${addresses}\n  ${' '.repeat(width)}  nsenter --net=${path}`,
  )
  return [`Testbed ${network.id} is up. Ctrl-C takes it away.`, '', ...list, ''].join('\n')
}

function clusterGuide(shown: { url: string; kubeconfig: string; kubectl: string; istiod: string }): string {
  return [
    `Kubernetes answers at ${shown.url}, istiod to VMs at ${shown.istiod}:15012.`,
    '',
    `  export KUBECONFIG=${shown.kubeconfig}`,
    `  ${shown.kubectl} get namespaces`,
    '',
  ].join('\n')
}

function print(result: object, text: string): void {
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${text}\n`)
}

async function run(command: string): Promise<void> {
  if (values.help) process.stdout.write(usage)
  else if (command === 'up') await up()
  else if (command === 'kubernetes') await upWithCluster()
  else if (command === 'fetch') {
    const parts = await fetchParts()
    if (values.kubernetes) await fetchCluster()
    print(
      { event: 'parts', ...parts },
      `Istio ${parts.istioVersion} and Envoy ${parts.envoyVersion} are in ${parts.cacheRoot}`,
    )
  } else if (command === 'boot') await fetchMachines()
  else if (command === 'clean') {
    const collected = (await collectStale()).map((instance) => instance.id)
    print(
      { event: 'clean', collected },
      collected.length === 0 ? 'Nothing was left.' : `Taken away: ${collected.join(', ')}`,
    )
  } else {
    process.stderr.write(`There is no command ${command}.\n\n${usage}`)
    process.exitCode = 2
  }
}

try {
  await run(positionals[0] ?? 'up')
} catch (error) {
  if (stopping.signal.aborted) process.exitCode = 130
  else {
    const known = error instanceof TestbedError
    process.stderr.write(
      known ? `${error.code}: ${error.message}\n${error.fix}\n` : `${(error as Error).stack}\n`,
    )
    process.exitCode = 1
  }
}
