import t from 'tap'
import { bearerOf, newSecret } from '../../../../controller/auth/bearer.ts'
import { sameHash, secretHash } from '../../../../controller/auth/secret-hash.ts'

t.test('bearer credentials are read strictly', async (t) => {
  t.equal(bearerOf('Bearer mro_abc-_.~+/='), 'mro_abc-_.~+/=')
  t.equal(bearerOf('bearer  x '), 'x')
  for (const header of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Basic x',
    'Bearer a b',
    `Bearer ${'x'.repeat(8193)}`,
  ]) {
    t.equal(bearerOf(header), undefined, String(header))
  }
})

t.test('secrets say what they are and never repeat', async (t) => {
  t.match(newSecret('operator'), /^mro_.{43}$/)
  t.match(newSecret('join'), /^mrj_.{43}$/)
  t.match(newSecret('enrolment'), /^mre_.{43}$/)
  t.not(newSecret('join'), newSecret('join'))
})

t.test('hashes are compared whole', async (t) => {
  t.ok(sameHash(secretHash('a'), secretHash('a')))
  t.notOk(sameHash(secretHash('a'), secretHash('b')))
  t.notOk(sameHash(secretHash('a'), secretHash('a').slice(0, 10)))
  t.notOk(sameHash('', secretHash('a')))
})
