import { Agent, request } from 'node:https'
import { pathOf } from '../../../controller/kubernetes/resource.ts'
import { meshTypes } from '../../../controller/mesh/kubernetes/resource-types.ts'
import { virtualMachines } from '../../../controller/store/kubernetes/resources.ts'
import type { Cluster } from '../../testbed/kubernetes/cluster.ts'

/** Objects as a join made them, whose like a bare client makes. */
export interface Sample {
  readonly vm: StoredObject
  readonly entry: StoredObject
  readonly serviceAccount: string
}

interface StoredObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec: object
}

const connections = 16
const mark = { 'bench.mooring/raw': 'true' } as const

/** Reads what the join of a VM left in the cluster. */
export async function readSample(cluster: Cluster, vm: string): Promise<Sample> {
  const read = async (kind: string) => {
    const found = await cluster.kubectl([
      'get',
      kind,
      '-A',
      '-o',
      'json',
      '--field-selector',
      `metadata.name=${vm}`,
    ])
    const [object] = (JSON.parse(found.stdout) as { items: StoredObject[] }).items
    if (object === undefined) throw new Error(`there is no ${kind} ${vm}`)
    return object
  }
  const entry = await read('workloadentries.networking.istio.io')
  const { serviceAccount = '' } = entry.spec as { serviceAccount?: string }
  return { vm: await read('virtualmachines.mesh.mooring'), entry, serviceAccount }
}

/**
 * Makes the calls that every join must make, in its order, as fast as the API server takes them over 16 kept
 * connections: the VM, its entry by server-side apply, a token. Returns how many sets a second; nothing of it stays.
 */
export async function measureRawCalls(cluster: Cluster, sample: Sample, sets: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections, ca: cluster.ca })
  const call = createCall(cluster, agent)
  const { namespace } = sample.vm.metadata
  const at = { namespace }
  let next = 0

  async function one(name: string): Promise<void> {
    const entry = renamed(sample.entry, name)
    const manager = '?fieldManager=bench&force=false'
    await call('POST', pathOf(virtualMachines, at), renamed(sample.vm, name))
    await call(
      'PATCH',
      `${pathOf(meshTypes.WorkloadEntry, { ...at, name })}${manager}`,
      entry,
      'application/apply-patch+yaml',
    )
    await call('POST', pathOf(meshTypes.ServiceAccount, { ...at, name: sample.serviceAccount }, 'token'), {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: ['istio-ca'], expirationSeconds: 3600 },
    })
  }

  try {
    const begun = performance.now()
    const work = async () => {
      while (next < sets) await one(`raw-${next++}`)
    }
    await Promise.all(Array.from({ length: connections }, work))
    const seconds = (performance.now() - begun) / 1000
    const selector = `?labelSelector=${encodeURIComponent('bench.mooring/raw=true')}`
    for (const type of [virtualMachines, meshTypes.WorkloadEntry]) {
      await call('DELETE', `${pathOf(type, at)}${selector}`)
    }
    return sets / seconds
  } finally {
    agent.destroy()
  }
}

function renamed({ apiVersion, kind, metadata, spec }: StoredObject, name: string): object {
  const { namespace, labels, annotations } = metadata
  return {
    apiVersion,
    kind,
    metadata: { name, namespace, labels: { ...labels, ...mark }, annotations },
    spec,
  }
}

function createCall(cluster: Cluster, agent: Agent) {
  const headers = { authorization: `Bearer ${cluster.tokens.admin}`, accept: 'application/json' }
  return (method: string, path: string, body?: object, type = 'application/json'): Promise<void> => {
    const text = body === undefined ? '' : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const asked = request(
        `${cluster.url}${path}`,
        {
          agent,
          method,
          headers: { ...headers, 'content-type': type, 'content-length': Buffer.byteLength(text) },
        },
        (answer) => {
          const parts: Buffer[] = []
          answer.on('data', (part: Buffer) => parts.push(part))
          answer.once('error', reject)
          answer.once('end', () => {
            const { statusCode = 0 } = answer
            if (statusCode < 300) return resolve()
            const said = Buffer.concat(parts).toString().slice(0, 500)
            reject(new Error(`${method} ${path} was answered ${statusCode}: ${said}`))
          })
        },
      )
      asked.once('error', reject)
      asked.end(text)
    })
  }
}
