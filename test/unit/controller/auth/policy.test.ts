import t from 'tap'
import { covers, judgePool, judgeRole, type RolePrincipal } from '../../../../controller/auth/policy.ts'
import { type Role, roles } from '../../../../shared/api/operator.ts'

const who = (role: Role, pools: string[] = ['*']): RolePrincipal => ({
  by: 'mooring',
  name: 'ada',
  role,
  pools,
  createdAt: 0,
  expiresAt: 1,
})

t.test('a role includes those below it', async (t) => {
  for (const [i, needed] of roles.entries()) {
    for (const [j, held] of roles.entries()) {
      const access = { by: 'operator', role: needed, pool: 'none' } as const
      t.equal(judgeRole(access, who(held)).allowed, j >= i, `${held} where ${needed} is needed`)
    }
  }
})

t.test('a grant of some pools is not one of all', async (t) => {
  const access = { by: 'operator', role: 'admin', pool: 'all' } as const
  t.match(judgeRole(access, who('admin', ['web'])), { code: 'FORBIDDEN' })
  t.ok(judgeRole(access, who('admin')).allowed)
})

t.test('pools are covered by name or by star', async (t) => {
  t.ok(covers(who('viewer'), 'web'))
  t.ok(covers(who('viewer', ['web', 'db']), 'db'))
  t.notOk(covers(who('viewer', ['web']), 'webs'))
  for (const rule of ['path', 'body'] as const) {
    t.match(judgePool(rule, who('admin', ['web']), 'db'), { code: 'FORBIDDEN', detail: /db/ })
    t.ok(judgePool(rule, who('admin', ['web']), 'web').allowed)
  }
  for (const rule of ['vm', 'token'] as const) {
    t.match(judgePool(rule, who('admin', ['web']), 'db'), { code: 'NOT_FOUND' }, 'as if it were not there')
    t.match(judgePool(rule, who('admin', ['web']), undefined), { code: 'NOT_FOUND' })
  }
  for (const rule of ['none', 'all', 'listed'] as const) {
    t.ok(judgePool(rule, who('viewer', ['web']), undefined).allowed)
  }
})
