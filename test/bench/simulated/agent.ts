import { Agent } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { Challenge, JoinFacts, JoinResponse } from '../../../shared/api/join.ts'
import type { AgentStatus, Down, Health, Up } from '../../../shared/api/stream.ts'
import { limits, paths, wireVersion } from '../../../shared/api/wire.ts'
import { createBackoff } from '../../../shared/backoff.ts'
import { type AgentKey, AgentRefused, send, signedJoin } from '../../fakes/agent.ts'
import type { Member } from './orders.ts'

/** An agent reduced to what a controller sees of it, so small that thousands fit into one process. */
export interface SimulatedAgent {
  /** Its id, once it has joined. */
  readonly vm: string
  /** Joins over a connection of its own, again for as long as it is told to come back; resolves with how often it was. */
  join(): Promise<number>
  /** Opens the stream and beats in it; a stream that is cut is opened again, as agents do. */
  open(health: Health): Promise<void>
  /** Says how it is now. */
  status(health: Health): void
  readonly isOpen: boolean
  /** How often its stream was cut. */
  readonly cuts: number
}

const patienceMs = 10 * 60_000
const bootId = 'simulated-boot'
const agentVersion = '0.1.0'

export function createSimulatedAgent(deps: {
  readonly member: Member
  readonly url: string
  /** PEM of the controller's authority. */
  readonly ca: string
  readonly key: AgentKey
}): SimulatedAgent {
  const { member, url, ca, key } = deps
  const { address, pool, token } = member
  const backoff = createBackoff({ baseMs: 200, maxMs: 5_000 })
  let joined: Pick<JoinResponse, 'vm' | 'certificate'> & { readonly revision: string } = {
    vm: '',
    certificate: '',
    revision: '',
  }
  let socket: WebSocket | undefined
  let health: Health = 'unknown'
  let cuts = 0

  async function attempt(connection: Agent): Promise<void> {
    const anonymous = { ca, agent: connection }
    const challenge = await send<Challenge>(url, anonymous, 'GET', paths.challenge)
    if (challenge.status !== 200) throw new AgentRefused(challenge)
    const facts: JoinFacts = {
      hostname: `simulated-${member.index}`,
      arch: 'amd64',
      bootId,
      agentVersion,
      nics: [{ interface: 'eth0', address, prefix: 16 }],
    }
    const evidence = { method: 'token', token } as const
    const request = signedJoin({ key, pool, evidence, facts, nonce: challenge.json().nonce })
    const answer = await send<JoinResponse>(url, anonymous, 'POST', paths.join, request)
    if (answer.status !== 200) throw new AgentRefused(answer)
    const { vm, certificate, bundle } = answer.json()
    joined = { vm, certificate, revision: bundle.revision }
  }

  function say(message: Up): void {
    socket?.send(JSON.stringify(message))
  }

  function current(): AgentStatus {
    return { health, conditions: [], bundleRevision: joined.revision, sidecarRestarts: 0 }
  }

  function connect(): Promise<void> {
    const stream = new WebSocket(`${url.replace('https', 'wss')}${paths.stream}`, {
      ca,
      key: key.privatePem,
      cert: joined.certificate,
      localAddress: address,
      maxPayload: limits.response,
      perMessageDeflate: false,
    })
    let beat: NodeJS.Timeout | undefined
    return new Promise((resolve, reject) => {
      stream.once('error', reject)
      stream.once('open', () => {
        socket = stream
        say({ kind: 'hello', wire: wireVersion, agentVersion, bootId, status: current() })
      })
      stream.on('message', (data) => {
        const message = JSON.parse(data.toString()) as Down
        if (message.kind !== 'welcome') return
        beat = setInterval(() => say({ kind: 'heartbeat' }), message.heartbeatMs)
        resolve()
      })
      stream.once('close', (code) => {
        clearInterval(beat)
        if (socket === stream) socket = undefined
        if (beat === undefined) return reject(new Error(`the stream was closed with ${code}`))
        cuts += 1
        void reopen()
      })
    })
  }

  async function reopen(): Promise<void> {
    for (;;) {
      await sleep(backoff.next())
      try {
        await connect()
        backoff.reset()
        return
      } catch {
        // Again, as long as this process lives.
      }
    }
  }

  return {
    get vm() {
      return joined.vm
    },
    async join() {
      const end = performance.now() + patienceMs
      const connection = new Agent({ keepAlive: true, maxSockets: 1, localAddress: address })
      try {
        for (let deferred = 0; ; deferred += 1) {
          try {
            await attempt(connection)
            return deferred
          } catch (error) {
            const seconds = error instanceof AgentRefused ? error.retryAfter : undefined
            if (seconds === undefined || performance.now() > end) throw error
            await sleep(1_000 * seconds)
          }
        }
      } finally {
        connection.destroy()
      }
    },
    open(first) {
      health = first
      return connect()
    },
    status(fresh) {
      health = fresh
      say({ kind: 'status', status: current() })
    },
    get isOpen() {
      return socket !== undefined
    },
    get cuts() {
      return cuts
    },
  }
}
