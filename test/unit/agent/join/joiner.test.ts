import t from 'tap'
import { createEffects } from '../../../../agent/effects.ts'
import { createControllerTime } from '../../../../agent/host/clock-skew.ts'
import { createJoiner } from '../../../../agent/join/joiner.ts'
import { makeKey } from '../../../../agent/join/key.ts'
import { createRenewMethod } from '../../../../agent/join/renew.ts'
import { createTokenMethod } from '../../../../agent/join/token.ts'
import type { State } from '../../../../agent/state.ts'
import type { JoinRequest } from '../../../../shared/api/join.ts'
import type { ErrorCode } from '../../../../shared/error-catalogue.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createTestAuthority } from '../../../fakes/authority.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { someBundle } from '../bundle.ts'

const authority = await createTestAuthority()
const { signal } = new AbortController()

function scene(
  refusals: Partial<Record<'token' | 'renew', ErrorCode>> = {},
  start?: State,
  token: string | undefined = 't'.repeat(20),
) {
  const clock = createFakeClock()
  const requests: JoinRequest[] = []
  const effects: string[] = []
  let state = start
  let challenges = 0
  const time = createControllerTime(clock)
  const joiner = createJoiner({
    pool: 'web',
    controller: {
      async challenge() {
        challenges += 1
        const now = clock.now() - 120_000
        return { nonce: `nonce-${challenges}-xxxxxxxxxx`, now, expiresAt: now + 1, wire: 1 }
      },
      async join(request) {
        requests.push(request)
        const refusal = refusals[request.evidence.method]
        if (refusal !== undefined) throw new MooringError(refusal)
        const certificate = await authority.client(request.csr, 'spiffe://x/mooring/vm/vm-1')
        return { wire: 1, vm: 'vm-1', certificate, controllerCa: 'CA', bundle: someBundle() }
      },
    },
    store: {
      current: () => state,
      async write(next) {
        state = next
      },
    },
    fresh: createTokenMethod({ file: '/t', read: async () => token }),
    renew: createRenewMethod({ identity: () => state?.identity, session: () => undefined }),
    facts: async () => ({ hostname: 'h', arch: 'amd64', bootId: 'b', agentVersion: '1', nics: [] }),
    machine: async () => ({ instanceId: 'i-1' }),
    time,
    clock,
    effects: createEffects({ after: (name) => effects.push(name) }),
    log: silentLog,
  })
  return { joiner, requests, effects, time, clock, state: () => state }
}

const methods = (requests: readonly JoinRequest[]) => requests.map(({ evidence }) => evidence.method)

t.test('the key is stored before the first request, and the answer after it', async (t) => {
  const { joiner, requests, effects, time, clock, state } = scene({ token: 'TOKEN_EXPIRED' })
  await t.rejects(joiner.join(signal), { code: 'TOKEN_EXPIRED' })
  t.same(effects, ['key-stored'])
  const key = state()?.privateKey
  await t.rejects(joiner.join(signal), { code: 'TOKEN_EXPIRED' })
  t.equal(state()?.privateKey, key, 'a repeated join has the same key')
  t.not(requests[0]?.proof.nonce, requests[1]?.proof.nonce)
  t.equal(time.skewMs(), 120_000, 'the challenge brought the time')
  t.equal(time.now(), clock.now() - 120_000)
})

t.test('a VM that was known renews; joins at the same time are one after the other', async (t) => {
  const { joiner, requests, effects, state } = scene()
  const [first, second] = await Promise.all([joiner.join(signal), joiner.join(signal)])
  t.same(methods(requests), ['token', 'renew'])
  t.equal(first.identity.vm, second.identity.vm)
  t.same(effects, ['key-stored', 'identity-stored', 'identity-stored'])
  t.match(state(), { identity: { vm: 'vm-1', pool: 'web', controllerCa: 'CA' }, bundle: { revision: 'r1' } })
  const { certificateFrom = 0, certificateUntil = 0, joinedAt } = state()?.identity ?? {}
  t.ok(certificateUntil > certificateFrom)
  t.equal(joinedAt, first.identity.joinedAt)
})

t.test('what a renewal cannot do, fresh evidence may; what it may not, nothing does', async (t) => {
  for (const code of ['KEY_UNKNOWN', 'RENEW_TOO_LATE', 'METHOD_NOT_ALLOWED_BY_POOL'] as const) {
    const { joiner, requests } = scene()
    await joiner.join(signal)
    const again = scene({ renew: code }, (await joiner.join(signal)) as State)
    const { identity } = await again.joiner.join(signal)
    t.same(methods(again.requests), ['renew', 'token'], code)
    t.equal(identity.vm, 'vm-1')
    t.ok(requests.length > 0)
  }
  const { joiner } = scene()
  const clone = scene({ renew: 'CLONE_DETECTED' }, (await joiner.join(signal)) as State)
  await t.rejects(clone.joiner.join(signal), { code: 'CLONE_DETECTED' })
  t.same(methods(clone.requests), ['renew'])
  const neither = scene(
    { renew: 'METHOD_NOT_ALLOWED_BY_POOL', token: 'METHOD_NOT_ALLOWED_BY_POOL' },
    (await joiner.join(signal)) as State,
  )
  await t.rejects(neither.joiner.join(signal), { code: 'METHOD_NOT_ALLOWED_BY_POOL' })
  t.same(methods(neither.requests), ['renew', 'token'])
})

t.test('a revoked key asks for nothing, and a state of another pool is not used', async (t) => {
  const revoked = scene({}, { version: 1, privateKey: 'k', revoked: { at: 1 } })
  await t.rejects(revoked.joiner.join(signal), { code: 'KEY_REVOKED' })
  const { joiner } = scene()
  const joined = (await joiner.join(signal)) as State
  const other = scene(
    {},
    { ...joined, ...(joined.identity && { identity: { ...joined.identity, pool: 'db' } }) },
  )
  await t.rejects(other.joiner.join(signal), { code: 'CONFIG_INVALID', detail: /joined db/ })
  t.same([...revoked.requests, ...other.requests], [])
})

t.test('coming back clears what was said at the leave', async (t) => {
  const { joiner } = scene()
  const joined = (await joiner.join(signal)) as State
  const back = scene({}, { ...joined, left: { at: 1, reason: 'operator' } })
  await back.joiner.join(signal)
  t.equal(back.state()?.left, undefined)
})

t.test('a state is of the machine that made it, and stays so', async (t) => {
  const { joiner, state } = scene()
  await joiner.join(signal)
  t.same(state()?.machine, { instanceId: 'i-1' })
  await joiner.join(signal)
  t.same(state()?.machine, { instanceId: 'i-1' }, 'a renewal keeps it')
})

t.test('where the identity of another machine was dropped, a missing token is said to be why', async (t) => {
  const dropped = { at: 1, why: 'its machine-id is another', vm: 'vm-0' }
  const state: State = { version: 1, privateKey: makeKey(), dropped }
  const bare = scene({}, state, '')
  await t.rejects(bare.joiner.join(signal), {
    code: 'MACHINE_CHANGED',
    detail: /^its machine-id is another; join\.tokenFile/,
  })
  t.same(bare.requests, [])
  const given = scene({}, state)
  await given.joiner.join(signal)
  t.same(methods(given.requests), ['token'], 'never by the key alone')
  t.equal(given.state()?.dropped, undefined)
})
