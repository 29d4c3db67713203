import t from 'tap'
import { type ClaimRules, principalOfClaims } from '../../../../../controller/auth/oidc/claims.ts'

const rules: ClaimRules = {
  nameClaim: 'sub',
  grants: [
    { claim: 'groups', value: 'platform', role: 'admin', pools: ['*'] },
    { claim: 'realm_access.roles', value: 'shop', role: 'operator', pools: ['web'] },
    { claim: 'https://example.com/team', value: 'ops', role: 'viewer', pools: ['*'] },
  ],
}

t.test('the first grant that fits counts, by a list or by one value', async (t) => {
  const of = (claims: object) => principalOfClaims({ sub: 'ada', ...claims }, rules, 7)
  t.same(of({ groups: ['x', 'platform'], realm_access: { roles: ['shop'] } }), {
    principal: { by: 'oidc', name: 'oidc:ada', role: 'admin', pools: ['*'], expiresAt: 7 },
  })
  t.match(of({ groups: 'platform' }), { principal: { role: 'admin' } })
  t.match(of({ realm_access: { roles: ['shop'] } }), { principal: { role: 'operator', pools: ['web'] } })
  t.match(of({ 'https://example.com/team': 'ops' }), { principal: { role: 'viewer' } })
})

t.test('who fits none is refused by name', async (t) => {
  const misfits = [
    {},
    { groups: 'platforms' },
    { groups: [['platform']] },
    { groups: { platform: 'platform' } },
  ]
  for (const claims of misfits) {
    t.match(principalOfClaims({ sub: 'ada', ...claims }, rules, 7), { code: 'FORBIDDEN', detail: /of ada$/ })
  }
})

t.test('a name is text of a reasonable length, and what objects inherit is no claim', async (t) => {
  for (const sub of [undefined, 7, '', 'x'.repeat(257), 'a\nb', 'a\u202eb', ['ada']]) {
    t.match(principalOfClaims({ sub, groups: 'platform' }, rules, 7), {
      code: 'UNAUTHENTICATED',
      detail: /sub/,
    })
  }
  const odd = { ...rules, nameClaim: 'constructor.name' }
  t.match(principalOfClaims({ groups: 'platform' }, odd, 7), { code: 'UNAUTHENTICATED' })
})

t.test('an email address that is not verified is nobody’s', async (t) => {
  const byEmail = { ...rules, nameClaim: 'email' }
  const claims = { sub: 'ada', email: 'ada@example.com', groups: 'platform' }
  const of = (verified: boolean, by: ClaimRules) =>
    principalOfClaims({ ...claims, email_verified: verified }, by, 7)
  t.match(of(false, byEmail), { code: 'UNAUTHENTICATED', detail: /not verified/ })
  t.match(of(true, byEmail), { principal: { name: 'oidc:ada@example.com' } })
  t.match(of(false, rules), { principal: { name: 'oidc:ada' } })
})
