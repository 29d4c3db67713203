import t from 'tap'
import { createEffects } from '../../../shared/effects.ts'

t.test('an effect is told of when it has happened, and only then', async (t) => {
  const told: string[] = []
  const effects = createEffects<'good' | 'bad'>({ after: (name) => told.push(name) })
  const result = await effects.run('good', async () => {
    t.same(told, [])
    return 5
  })
  t.equal(result, 5)
  t.same(told, ['good'])
  const failing = () => {
    throw new TypeError('no')
  }
  await t.rejects(effects.run('bad', failing), /no/)
  await t.rejects(
    effects.run('bad', () => Promise.reject(new TypeError('not either'))),
    /not either/,
  )
  t.same(told, ['good'])
  t.equal(await createEffects().run('unheard', () => 1), 1, 'nobody has to listen')
})
