import { exportJWK, generateKeyPair } from 'jose'
import t from 'tap'
import { createKeySet, keySetMs } from '../../../../../controller/auth/oidc/key-set.ts'
import { MooringError } from '../../../../../shared/errors.ts'
import { silentLog } from '../../../../../shared/log.ts'
import { createFakeClock } from '../../../../fakes/clock.ts'

const issuer = 'https://id.example.com/realm/'
const keysUrl = 'https://keys.example.com/set'
const { publicKey } = await generateKeyPair('ES256', { extractable: true })
const jwk = { ...(await exportJWK(publicKey)), alg: 'ES256' }
const token = { payload: '', signature: '' }
const noMatch = { code: 'ERR_JWKS_NO_MATCHING_KEY' }

function setUp() {
  const clock = createFakeClock()
  const asked: string[] = []
  const issued = { kids: ['a'], away: false, metadata: { issuer, jwks_uri: keysUrl } as object }
  const keys = createKeySet({
    ...{ issuer, clock, log: silentLog },
    async fetch(url) {
      asked.push(url.href)
      if (issued.away) throw new MooringError('UNAVAILABLE', { detail: `${url.href}: away` })
      if (url.href !== keysUrl) return issued.metadata
      return { keys: issued.kids.map((kid) => ({ ...jwk, kid })) }
    },
  })
  const find = (kid: string) => keys.keyFor({ alg: 'ES256', kid }, token)
  return { clock, asked, issued, find }
}

t.test('keys are fetched once, by what the issuer says of itself, and again after a while', async (t) => {
  const { clock, asked, find } = setUp()
  await Promise.all([find('a'), find('a'), find('a')])
  const once = ['https://id.example.com/realm/.well-known/openid-configuration', keysUrl]
  t.same(asked, once)
  await clock.advance(keySetMs.fresh - 1)
  await find('a')
  t.equal(asked.length, 2)
  await clock.advance(1)
  await find('a')
  t.same(asked, [...once, ...once])
})

t.test('a key that is new is looked for, but not for everybody who says that there is one', async (t) => {
  const { clock, asked, issued, find } = setUp()
  await find('a')
  issued.kids = ['a', 'b']
  await t.rejects(find('b'), noMatch, 'too soon')
  await clock.advance(keySetMs.pause)
  t.ok(await find('b'))
  t.equal(asked.length, 4)
  for (let i = 0; i < 20; i += 1) await t.rejects(find(`made-up-${i}`), noMatch)
  t.equal(asked.length, 4)
})

t.test('while the issuer is away its keys go on, for a day', async (t) => {
  const { clock, asked, issued, find } = setUp()
  issued.away = true
  await t.rejects(find('a'), { code: 'UNAVAILABLE', detail: /away$/ })
  await t.rejects(find('a'), { code: 'UNAVAILABLE' })
  t.equal(asked.length, 1, 'nobody asks again at once')
  issued.away = false
  await clock.advance(keySetMs.pause)
  t.ok(await find('a'))
  issued.away = true
  await clock.advance(keySetMs.usable - 1)
  t.ok(await find('a'))
  await clock.advance(1)
  await t.rejects(find('a'), { code: 'UNAVAILABLE' })
})

t.test('an issuer that is another one, or has no keys, is not believed', async (t) => {
  const cases: readonly [object, RegExp][] = [
    [{ issuer: 'https://id.example.com/realm', jwks_uri: keysUrl }, /of another issuer/],
    [{ issuer, jwks_uri: 'http://keys.example.com/set' }, /no jwks_uri with https/],
    [{ issuer }, /no jwks_uri/],
    [{ issuer, jwks_uri: 'https://id.example.com/keys' }, /key set is none/],
  ]
  for (const [metadata, detail] of cases) {
    const { issued, find } = setUp()
    issued.metadata = metadata
    await t.rejects(find('a'), { code: 'UNAVAILABLE', detail })
  }
})
