import fc from 'fast-check'
import t from 'tap'
import { handedText, handedVariable, takeHanded } from '../../../../agent/host/handed-config.ts'

const layers = [
  { path: '/etc/mooring/agent.yaml', value: { pool: 'web', controller: { url: 'https://c' } } },
  { path: '/etc/mooring/agent.d/50-x.yaml', value: ['not what it should be'] },
]

t.test('what was handed over comes out as it was, and no child inherits it', async (t) => {
  const env = { KEPT: 'this', [handedVariable]: handedText(layers) }
  t.same(takeHanded(env), layers)
  t.same(env, { KEPT: 'this' })
  t.equal(takeHanded(env), undefined, 'once')
  t.same(takeHanded({ [handedVariable]: handedText([]) }), [], 'no file at all is an answer too')
})

t.test('what the kernel would refuse is not handed over', async (t) => {
  const huge = [{ path: 'a', value: 'ä'.repeat(60_000) }]
  t.equal(handedText(huge), undefined)
})

t.test('what cannot be understood is as if it were not there, and goes all the same', async (t) => {
  for (const text of ['', '{', '{}', '[1]', '[{"path":1,"value":2}]', 'null']) {
    const env = { [handedVariable]: text }
    t.equal(takeHanded(env), undefined, text)
    t.same(env, {})
  }
})

t.test('every configuration survives the way', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.record({ path: fc.string(), value: fc.jsonValue() })), (some) => {
      const handed = takeHanded({ [handedVariable]: handedText(some) })
      t.same(JSON.stringify(handed), JSON.stringify(some))
    }),
    { numRuns: 50 },
  )
})
