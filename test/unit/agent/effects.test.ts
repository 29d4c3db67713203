import t from 'tap'
import { createEffects, effectNames } from '../../../agent/effects.ts'

t.test('each name is there once, and runs', async (t) => {
  t.equal(new Set(effectNames).size, effectNames.length)
  const told: string[] = []
  const effects = createEffects({ after: (name) => told.push(name) })
  for (const name of effectNames) await effects.run(name, () => {})
  t.same(told, effectNames)
})
