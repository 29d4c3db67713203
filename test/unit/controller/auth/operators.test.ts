import t from 'tap'
import { createOperators } from '../../../../controller/auth/operators.ts'
import { openDatabase } from '../../../../controller/store/database.ts'
import { createSqliteStore } from '../../../../controller/store/sqlite.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

function setUp() {
  const clock = createFakeClock()
  const store = createSqliteStore({ database: openDatabase({ file: ':memory:' }), log: silentLog })
  return { clock, store, operators: createOperators({ store, clock }) }
}

t.test('a token is recognised until it ends, and is kept as a hash alone', async (t) => {
  const { clock, store, operators } = setUp()
  const made = await operators.create({ name: 'ada', role: 'operator', pools: ['web'], ttlSeconds: 60 })
  t.match(made.token, /^mro_[A-Za-z0-9_-]{43}$/)
  t.match(await operators.authenticate(made.token), { name: 'ada', role: 'operator', pools: ['web'] })
  t.equal(await operators.authenticate(`${made.token}x`), undefined)
  t.equal(await operators.authenticate(''), undefined)
  t.notMatch(JSON.stringify(await store.list('operator')), made.token)
  await clock.advance(60_000)
  t.equal(await operators.authenticate(made.token), undefined)
})

t.test('a name is one operator, until the token has ended', async (t) => {
  const { clock, operators } = setUp()
  const first = await operators.create({ name: 'ada', role: 'viewer', ttlSeconds: 60 })
  await t.rejects(operators.create({ name: 'ada', role: 'admin' }), { code: 'CONFLICT' })
  await clock.advance(60_000)
  const second = await operators.create({ name: 'ada', role: 'viewer' })
  t.equal(await operators.authenticate(first.token), undefined)
  t.ok(await operators.authenticate(second.token))
})

t.test('who was removed is nobody', async (t) => {
  const { operators } = setUp()
  const { token } = await operators.create({ name: 'ada', role: 'viewer' })
  await operators.remove('ada')
  t.equal(await operators.authenticate(token), undefined)
  await t.rejects(operators.remove('ada'), { code: 'NOT_FOUND' })
})

t.test('the enrolment code makes one administrator, once', async (t) => {
  const { operators, store } = setUp()
  t.ok(await operators.needEnrolment())
  await t.rejects(operators.enrol('mre_guess-guess-guess', 'eve'), { code: 'ENROLMENT_INVALID' })
  const { code } = await operators.newEnrolment()
  t.notMatch(JSON.stringify(await store.list('enrolment')), code)
  await t.rejects(operators.enrol(`${code}x`, 'eve'), { code: 'ENROLMENT_INVALID' })
  const { token, role, pools } = await operators.enrol(code, 'ada')
  t.same([role, pools], ['admin', ['*']])
  t.ok(await operators.authenticate(token))
  t.notOk(await operators.needEnrolment())
  await t.rejects(operators.enrol(code, 'eve'), { code: 'ENROLMENT_INVALID' })
})

t.test('of many who use one code at once exactly one gets in', async (t) => {
  const { operators } = setUp()
  const { code } = await operators.newEnrolment()
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) => operators.enrol(code, `ada-${i}`)),
  )
  t.equal(results.filter((r) => r.status === 'fulfilled').length, 1)
  for (const result of results) {
    if (result.status === 'rejected') t.match(result.reason, { code: 'ENROLMENT_INVALID' })
  }
})

t.test('a code ends after an hour, and a new one voids the old', async (t) => {
  const { clock, operators } = setUp()
  const old = await operators.newEnrolment()
  const next = await operators.newEnrolment()
  await t.rejects(operators.enrol(old.code, 'ada'), { code: 'ENROLMENT_INVALID' })
  await clock.advance(3_600_000)
  await t.rejects(operators.enrol(next.code, 'ada'), { code: 'ENROLMENT_INVALID' })
})

t.test('an administrator who lost the token gets a new one by a new code', async (t) => {
  const { operators } = setUp()
  const lost = await operators.enrol((await operators.newEnrolment()).code, 'ada')
  const found = await operators.enrol((await operators.newEnrolment()).code, 'ada')
  t.equal(await operators.authenticate(lost.token), undefined)
  t.ok(await operators.authenticate(found.token))
})
