import t, { type Test } from 'tap'
import type { Controller } from '../../../agent/client/controller.ts'
import type { StatusView } from '../../../agent/commands/status.ts'
import { createEffects } from '../../../agent/effects.ts'
import { createControllerTime } from '../../../agent/host/clock-skew.ts'
import { createResident } from '../../../agent/resident.ts'
import { createProcessTable } from '../../../agent/sidecar/process-table.ts'
import type { Identity, State } from '../../../agent/state.ts'
import type { ErrorCode } from '../../../shared/error-catalogue.ts'
import { MooringError } from '../../../shared/errors.ts'
import { silentLog } from '../../../shared/log.ts'
import { createFakeClock } from '../../fakes/clock.ts'
import { waitFor } from '../../world/waiting.ts'
import { someBundle } from './bundle.ts'

const key: State = { version: 1, privateKey: 'k' }

interface Scene {
  readonly state?: State
  readonly platform?: string
  /** What a join is answered with; nothing: it never is. */
  readonly join?: ErrorCode | 'bundle'
  /** What every try to open a stream ends with. */
  readonly stream?: ErrorCode
}

/** A resident agent whose controller is in the test's hand; nothing of the machine is touched before a stop. */
function scene(t: Test, facts: Scene = {}) {
  const clock = createFakeClock()
  const effects: string[] = []
  const told: string[] = []
  const events: string[] = []
  const over = new AbortController()
  const stop = new AbortController()
  t.teardown(() => over.abort())
  let state = facts.state
  const identity: Identity = {
    ...{ vm: 'vm-1', pool: 'web', certificate: '', controllerCa: '', joinedAt: clock.now() },
    ...{ certificateFrom: clock.now(), certificateUntil: clock.now() + 86_400_000 },
  }
  const refuse = () => Promise.reject(new MooringError('CONTROLLER_UNREACHABLE'))
  const controller: Controller = {
    challenge: refuse,
    join: refuse,
    bundle: refuse,
    artifact: () => {
      throw new MooringError('CONTROLLER_UNREACHABLE')
    },
  }
  const folder = t.testdir()
  const resident = createResident({
    config: {
      controller: { url: new URL('https://127.0.0.1:1'), trust: { pin: '' } },
      ...{ pool: 'web', state: folder, run: folder, log: { level: 'info' } },
      join: { method: 'token', tokenFile: '/t' },
    },
    folders: { state: folder, log: folder },
    store: {
      current: () => state,
      async write(next) {
        state = next
      },
    },
    link: {
      trust: {
        async authorities() {
          events.push('stream')
          throw new MooringError(facts.stream ?? 'CONTROLLER_UNREACHABLE')
        },
        distrusted() {},
      },
      ...{ controller, time: createControllerTime(clock), welcomed() {} },
      joiner: {
        async join(signal) {
          events.push('join')
          if (facts.join === undefined) {
            return new Promise((_, reject) =>
              signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
            )
          }
          if (facts.join !== 'bundle') throw new MooringError(facts.join)
          const joined = { ...key, identity, bundle: someBundle(), bundleAt: clock.now() }
          state = joined
          return joined
        },
      },
      method: { name: 'token', evidence: async () => ({ method: 'token', token: 't'.repeat(16) }) },
      identity: () => state?.identity && { identity: state.identity, privateKey: state.privateKey },
    },
    processes: createProcessTable(folder),
    host: { uid: 0, platform: facts.platform ?? 'linux', arch: 'amd64' },
    ...{ bootId: 'b', agentVersion: '1.2.3', supervisor: 'process', clock, log: silentLog },
    captureFacts: async () => ({ controllerAddresses: [], nameservers: [], ipv6: false }),
    machineFacts: async () => ({}),
    signals: { stop: stop.signal, hurry: new AbortController().signal },
    sign: { mark() {}, during: (work) => work },
    tell: (line) => told.push(line),
    over: over.signal,
    effects: createEffects({ after: (name) => effects.push(name) }),
  })
  void resident.run()
  const view = async () => (await resident.answer({ kind: 'status' })) as StatusView
  return {
    ...{ resident, clock, effects, events, told, view, identity },
    state: () => state,
    /** Lets what is under way go on, and time pass, until the agent is so. */
    async until(isSo: (seen: StatusView) => boolean): Promise<StatusView> {
      return waitFor(
        async () => {
          await clock.advance(100)
          const seen = await view()
          return isSo(seen) && seen
        },
        { what: 'the agent to be so', everyMs: 1, onTimeout: async () => JSON.stringify(await view()) },
      )
    },
  }
}

const condition = ({ conditions }: StatusView, type: string) => conditions.find((one) => one.type === type)

t.test('a machine that is not fit asks nothing of the controller', async (t) => {
  const { until, events, told } = scene(t, { platform: 'plan9', join: 'bundle' })
  const seen = await until((view) => condition(view, 'HostFit') !== undefined)
  t.match(condition(seen, 'HostFit'), { status: 'False', reason: 'PLATFORM_UNSUPPORTED' })
  t.match(seen, { stage: 'joining', health: 'unknown', connected: false, pool: 'web', version: '1.2.3' })
  t.equal(seen.vm, undefined)
  t.same(events, [])
  t.ok(told.length > 0, 'whoever started it is told')
})

t.test('a refused join is shown with its reason, and tried again', async (t) => {
  const { until, events } = scene(t, { join: 'TOKEN_EXPIRED' })
  const seen = await until((view) => condition(view, 'IdentityValid') !== undefined)
  t.match(condition(seen, 'IdentityValid'), { status: 'False', reason: 'TOKEN_EXPIRED' })
  t.equal(seen.stage, 'joining')
  await until(() => events.length >= 3)
  t.same(new Set(events), new Set(['join']), 'no stream without an identity')
})

t.test('joined, and nothing to run: the version that is offered is not told as one that runs', async (t) => {
  const { until, events } = scene(t, { join: 'bundle' })
  const seen = await until((view) => condition(view, 'SidecarInstalled') !== undefined)
  t.match(condition(seen, 'SidecarInstalled'), { status: 'False', reason: 'ARTIFACT_UNAVAILABLE' })
  t.match(condition(seen, 'IdentityValid'), { status: 'True' })
  t.match(seen, {
    ...{ stage: 'converging', vm: 'vm-1', bundleRevision: 'r1' },
    sidecar: { running: false, version: undefined },
  })
  await until(({ trouble }) => trouble !== 'not connected yet')
  t.ok(events.includes('stream'), 'it looks for its controller')
})

t.test('a revoked key begins nothing', async (t) => {
  const { until, events, resident } = scene(t, { state: { ...key, revoked: { at: 1 } }, join: 'bundle' })
  await until(({ stage }) => stage === 'revoked')
  await t.rejects(resident.answer({ kind: 'join' }), { code: 'KEY_REVOKED' })
  t.same(events, [])
})

t.test('a leave that was not told comes before the next join', async (t) => {
  const start = scene(t, { join: 'bundle' })
  const left: State = {
    ...key,
    ...{ identity: start.identity, bundle: someBundle() },
    left: { at: 1, reason: 'operator', untold: true },
  }
  await t.test('nobody is there to hear it: it is tried on, and nothing is joined', async (t) => {
    const { until, events, state } = scene(t, { state: left, join: 'bundle' })
    const seen = await until(() => events.length > 5)
    t.match(seen, { stage: 'joining', connected: false, trouble: /./ })
    t.same(new Set(events), new Set(['stream']))
    t.equal(state()?.left?.untold, true)
  })
  await t.test('it is forgotten there: that is settled, and the next life begins', async (t) => {
    const { until, events, state, effects } = scene(t, {
      ...{ state: left, join: 'bundle', stream: 'UNAUTHENTICATED' },
    })
    await until(({ stage }) => stage === 'converging')
    t.same(events.slice(0, 2), ['stream', 'join'])
    t.equal(effects[0], 'farewell-stored')
    t.equal(state()?.left, undefined)
  })
})
