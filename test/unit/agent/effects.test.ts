import t from 'tap'
import { createEffects, effectNames, isEffectName } from '../../../agent/effects.ts'

t.test('an effect is told of after it happened, and only then', async (t) => {
  const told: string[] = []
  const effects = createEffects({ after: (name) => told.push(name) })
  t.equal(await effects.run('key-stored', () => 7), 7)
  t.same(told, ['key-stored'])
  await t.rejects(
    effects.run('files-written', () => Promise.reject(new Error('no'))),
    /no/,
  )
  t.same(told, ['key-stored'])
})

t.test('names are known', async (t) => {
  for (const name of effectNames) t.ok(isEffectName(name))
  t.notOk(isEffectName('nothing'))
  t.equal(new Set(effectNames).size, effectNames.length)
})
