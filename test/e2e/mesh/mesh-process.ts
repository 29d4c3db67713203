/**
 * The standalone mesh in a process of its own, as the controller composes it, inside the host's namespace.
 * Reads JSON lines `{id, op, ...}` and answers `{id, result}` or `{id, error}`.
 *
 * Usage: node mesh-process.ts FOLDER ISTIOD ADDRESS
 */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import type { IstioObject, MintRequest, ObjectRef } from '../../../controller/mesh/mesh.ts'
import { createIstiodView } from '../../../controller/mesh/standalone/istiod-view.ts'
import { createStandaloneMesh } from '../../../controller/mesh/standalone/standalone.ts'
import { systemClock } from '../../../shared/clock.ts'
import { errorText, isMooringError } from '../../../shared/errors.ts'
import { createLog, type LogFields } from '../../../shared/log.ts'

const [folder = '', istiodBinary = '', address = ''] = process.argv.slice(2)
const port = 15012
const log = createLog({ level: 'debug' })
const declared = new Set<string>()
const { signal } = new AbortController()
let debugPort = 0

const mesh = await createStandaloneMesh({
  folder,
  istiodBinary,
  gate: { hosts: ['0.0.0.0', '::'], port },
  advertise: { address, port },
  trustDomain: 'cluster.local',
  meshId: 'mesh',
  clusterId: 'Kubernetes',
  network: '',
  // Upstream's Envoy lacks the filters of Istio's own build.
  meshConfig: { defaultProviders: {} },
  istiodEnvironment: { PILOT_ENABLE_METADATA_EXCHANGE: 'false', PILOT_ENABLE_ALPN_FILTER: 'false' },
  proxyConfig: { concurrency: 1 },
  sidecarEnvironment: {},
  certificateTtlSeconds: 3600,
  artifacts: () => [],
  declared: () => declared,
  proc: '/proc',
  clock: systemClock,
  log: {
    ...log,
    info(message: string, fields: LogFields = {}) {
      if (message === 'istiod started') debugPort = (fields.ports as { http: number }).http
      log.info(message, fields)
    },
  },
})

function gateAnswers(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** Tries the gate without pause; what istiod tells of itself at the moment when it first lets somebody in. */
async function firstEntrance() {
  while (!(await gateAnswers())) await new Promise((resolve) => setImmediate(resolve))
  const view = createIstiodView(debugPort)
  const services = await view.registry(signal)
  return {
    services: services.size,
    endpoints: [...services.values()].reduce((sum, { endpoints }) => sum + endpoints.size, 0),
    objects: (await view.revisions(signal)).size,
  }
}

interface Input {
  readonly id: number
  readonly op: string
  readonly objects: IstioObject[]
  readonly ref: ObjectRef
  readonly request: MintRequest
  readonly declared: string[]
}

const operations: Record<string, (input: Input) => unknown> = {
  start: () => mesh.start(signal),
  firstEntrance,
  async apply({ objects }) {
    for (const object of objects) await mesh.apply(object, signal)
  },
  remove: ({ ref }) => mesh.remove(ref, signal),
  list: () => mesh.list(signal),
  taken: ({ ref }) => mesh.taken(ref, signal),
  facts: () => mesh.facts(),
  health: () => mesh.health(),
  declare(input) {
    for (const identity of input.declared) declared.add(identity)
  },
  async mint({ request }) {
    const { token, expiresAt } = await mesh.mint(request, signal)
    return { token: token.reveal(), expiresAt }
  },
  istiodPid: () => JSON.parse(readFileSync(`${folder}/istiod.pid`, 'utf8')).pid,
  close: () => mesh.close(),
}

createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const input = JSON.parse(line) as Input
    try {
      answer({ id: input.id, result: (await operations[input.op]?.(input)) ?? null })
    } catch (error) {
      const code = isMooringError(error) ? error.code : 'INTERNAL'
      answer({ id: input.id, error: { code, text: errorText(error) } })
    }
  })
  .on('close', () => void mesh.close().then(() => process.exit(0)))

function answer(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}
