import t from 'tap'
import { createEffects, effectNames, isEffectName } from '../../../controller/effects.ts'

t.test('what follows an effect is told when it has happened, and only then', async (t) => {
  const told: string[] = []
  const effects = createEffects({ after: (name) => told.push(name) })
  const result = await effects.run('token-minted', async () => {
    t.same(told, [])
    return 5
  })
  t.equal(result, 5)
  t.same(told, ['token-minted'])
  await t.rejects(
    effects.run('vm-written', () => {
      throw new Error('no')
    }),
    /no/,
  )
  t.same(told, ['token-minted'])
})

t.test('names are names once', async (t) => {
  t.equal(new Set(effectNames).size, effectNames.length)
  t.ok(isEffectName('token-minted'))
  t.notOk(isEffectName('token-eaten'))
})
