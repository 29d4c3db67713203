import t from 'tap'
import { secretHash } from '../../../../controller/auth/secret-hash.ts'
import { judgeToken, tokenName, usedToken } from '../../../../controller/join/token.ts'
import type { TokenRecord } from '../../../../controller/store/records.ts'

const hash = secretHash('mrj_secret')
const record: TokenRecord = {
  pool: 'web',
  hash,
  uses: 2,
  usedBy: ['a'],
  createdAt: 0,
  expiresAt: 1000,
  createdBy: 'operator:ada',
}
const ask = (over: Partial<TokenRecord> = {}, key = 'b', shown = hash, now = 999) =>
  judgeToken({
    stored: { kind: 'token', name: tokenName(hash), version: '1', value: { ...record, ...over } },
    hash: shown,
    pool: 'web',
    key,
    now,
  })?.code

t.test('why a token admits or not', async (t) => {
  t.equal(ask(), undefined)
  t.equal(ask({}, 'b', hash, 1000), 'TOKEN_EXPIRED')
  t.equal(ask({ uses: 1 }), 'TOKEN_USED_UP')
  t.equal(ask({ uses: 1 }, 'a'), undefined, 'who used it comes again')
  t.equal(ask({ pool: 'db' }), 'TOKEN_FOR_OTHER_POOL')
  t.equal(ask({}, 'b', secretHash('mrj_other')), 'TOKEN_INVALID', 'same name, other hash')
  t.equal(judgeToken({ stored: undefined, hash, pool: 'web', key: 'a', now: 0 })?.code, 'TOKEN_INVALID')
})

t.test('a repeated use costs nothing', async (t) => {
  const once = usedToken(record, 'b')
  t.same(once.usedBy, ['a', 'b'])
  t.equal(usedToken(once, 'b'), once)
})

t.test('the name follows from the hash and fits a resource name', async (t) => {
  t.match(tokenName(hash), /^tok-[0-9a-f]{16}$/)
  t.equal(tokenName(hash), tokenName(secretHash('mrj_secret')))
})
