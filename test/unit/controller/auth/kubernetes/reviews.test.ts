import t from 'tap'
import { createReviews, reviewMs } from '../../../../../controller/auth/kubernetes/reviews.ts'
import type { Client } from '../../../../../controller/kubernetes/client.ts'
import { Secret } from '../../../../../shared/secret.ts'
import { createFakeClock } from '../../../../fakes/clock.ts'

const jane = { username: 'jane', uid: 'u-1', groups: ['team-a'], extra: { scopes: ['x'] } }

/** Answers as the API server documents it, and counts. */
function setUp(answer: (spec: Record<string, unknown>) => unknown) {
  const clock = createFakeClock()
  const asked: { kind: string; spec: Record<string, unknown> }[] = []
  const client = {
    async post(type: { kind: string }, _at: unknown, body: object) {
      const { spec } = body as { spec: Record<string, unknown> }
      asked.push({ kind: type.kind, spec })
      return { status: answer(spec) }
    },
  } as unknown as Pick<Client, 'post'>
  return { clock, asked, reviews: createReviews({ client, audiences: ['mooring'], clock }) }
}

const known = () => ({ authenticated: true, audiences: ['mooring'], user: jane })

t.test('a token is shown to the cluster once in a while, with the audience that it must have', async (t) => {
  const { clock, asked, reviews } = setUp(known)
  t.same(await reviews.identify(new Secret('some-token')), {
    by: 'kubernetes',
    name: 'kubernetes:jane',
    user: jane,
    pools: [],
  })
  await reviews.identify(new Secret('some-token'))
  t.same(asked, [{ kind: 'TokenReview', spec: { token: 'some-token', audiences: ['mooring'] } }])
  await clock.advance(reviewMs.granted)
  await reviews.identify(new Secret('some-token'))
  t.equal(asked.length, 2)
})

t.test('who is not known, or known for somebody else, is nobody', async (t) => {
  for (const status of [
    { authenticated: false, error: 'expired' },
    { user: jane, audiences: ['mooring'] },
    { authenticated: true, audiences: ['mooring'] },
    { authenticated: true, audiences: ['https://kubernetes.default.svc'], user: jane },
    { authenticated: true, user: jane },
  ]) {
    t.equal(await setUp(() => status).reviews.identify(new Secret('t')), undefined, JSON.stringify(status))
  }
})

t.test('an answer is not believed for longer than the token is valid', async (t) => {
  const { clock, asked, reviews } = setUp(known)
  const exp = Math.floor(clock.now() / 1000) + 3
  const token = new Secret(`e30.${Buffer.from(JSON.stringify({ exp })).toString('base64url')}.c2ln`)
  t.equal((await reviews.identify(token))?.expiresAt, exp * 1000)
  await clock.advance(3_000)
  await reviews.identify(token)
  t.equal(asked.length, 2)
})

t.test('permissions are asked for as the user that was recognised', async (t) => {
  const { clock, asked, reviews } = setUp(({ resourceAttributes }) => ({
    allowed: (resourceAttributes as { verb: string } | undefined)?.verb === 'list',
  }))
  const list = { verb: 'list', resource: 'virtualmachines', namespace: 'shop' }
  const drain = { ...list, verb: 'create', subresource: 'drain' }
  t.equal(await reviews.allows(jane, list), true)
  t.equal(await reviews.allows(jane, drain), false)
  t.equal(await reviews.allows(jane, { verb: 'get', path: '/metrics' }), false)
  const { username: user, ...who } = jane
  t.same(asked[0], {
    kind: 'SubjectAccessReview',
    spec: { user, ...who, resourceAttributes: { group: 'mesh.mooring', version: '*', ...list } },
  })
  t.same(asked[2]?.spec.nonResourceAttributes, { verb: 'get', path: '/metrics' })
  await clock.advance(reviewMs.refused)
  await reviews.allows(jane, list)
  t.equal(asked.length, 3, 'a yes counts a little longer')
  await reviews.allows(jane, drain)
  await reviews.allows({ ...jane, groups: [] }, list)
  t.equal(asked.length, 5, 'another user is another question')
})

t.test('a denial beside a permission counts, and an answer that is none opens nothing', async (t) => {
  const ask = { verb: 'get', path: '/metrics' }
  t.equal(await setUp(() => ({ allowed: true, denied: true })).reviews.allows(jane, ask), false)
  const odd = setUp(() => ({ allowed: 'yes' })).reviews
  await t.rejects(odd.allows(jane, ask), { code: 'UNAVAILABLE' })
  await t.rejects(
    setUp(() => ({ ...known(), user: { username: 'x'.repeat(600) } })).reviews.identify(new Secret('t')),
    {
      code: 'UNAVAILABLE',
    },
  )
})
