import type { Clock } from '../shared/clock.ts'
import type { Log } from '../shared/log.ts'
import { type Controller, createController } from './client/controller.ts'
import { createTransport } from './client/request.ts'
import { createTrust, type Trust } from './client/trust.ts'
import type { AgentConfig } from './config.ts'
import type { Effects } from './effects.ts'
import { type ControllerTime, createControllerTime } from './host/clock-skew.ts'
import { joinFacts } from './host/facts.ts'
import { readBounded } from './host/files.ts'
import { readMachineMark } from './host/machine-mark.ts'
import { below } from './host/paths.ts'
import { createJoiner, type Joiner } from './join/joiner.ts'
import type { JoinMethod } from './join/method.ts'
import { createRenewMethod } from './join/renew.ts'
import { createTokenMethod } from './join/token.ts'
import type { Identity, State, StateStore } from './state.ts'

/** Everything between this VM and its controller but the stream. */
export interface Link {
  readonly trust: Trust
  readonly controller: Controller
  readonly joiner: Joiner
  /** How a VM that the controller does not know shows who it is. */
  readonly method: JoinMethod
  readonly time: ControllerTime
  /** The controller welcomed a stream of this process, and called it so. */
  readonly welcomed: (session: string | undefined) => void
  /** Who this VM is and its key; undefined before the first join. */
  readonly identity: () => { readonly identity: Identity; readonly privateKey: string } | undefined
}

export interface LinkDeps {
  readonly config: AgentConfig
  readonly root: string
  readonly store: StateStore
  readonly agentVersion: string
  readonly bootId: string
  readonly clock: Clock
  readonly effects: Effects
  readonly log: Log
}

const maxCaBytes = 256 * 1024
const maxTokenBytes = 4096

export function createLink(deps: LinkDeps): Link {
  const { config, root, store, clock } = deps
  const { url } = config.controller
  const reader = (max: number) => (path: string) => readBounded(below(root, path), max)
  let session: string | undefined
  const identity = () => withIdentity(store.current())
  const trust = createTrust({ url, config: config.controller.trust, read: reader(maxCaBytes), clock })
  const controller = createController({ url, trust, transport: createTransport({ clock }), identity })
  const time = createControllerTime(clock)
  const method = createTokenMethod({ file: config.join.tokenFile, read: reader(maxTokenBytes) })
  const joiner = createJoiner({
    pool: config.pool,
    controller,
    store,
    fresh: method,
    renew: createRenewMethod({ identity: () => store.current()?.identity, session: () => session }),
    facts: () => joinFacts(deps.agentVersion, deps.bootId),
    machine: () => readMachineMark(root),
    time,
    clock,
    effects: deps.effects,
    log: deps.log,
  })
  return {
    ...{ trust, controller, joiner, method, time, identity },
    welcomed(name) {
      session = name
    },
  }
}

function withIdentity(state: State | undefined) {
  if (state?.identity === undefined) return undefined
  return { identity: state.identity, privateKey: state.privateKey }
}
