import t from 'tap'
import { createTokenMethod } from '../../../../agent/join/token.ts'

const { signal } = new AbortController()

t.test('the token is read each time, without the space around it', async (t) => {
  let content = `  ${'a'.repeat(20)}\n`
  const method = createTokenMethod({ file: '/t', read: async () => content })
  t.same(await method.evidence(signal), { method: 'token', token: 'a'.repeat(20) })
  content = 'b'.repeat(20)
  t.match(await method.evidence(signal), { token: 'b'.repeat(20) })
})

t.test('no file, and no token in it, are named without their content', async (t) => {
  for (const content of [undefined, '', 'short-secret', 'x'.repeat(300)]) {
    const method = createTokenMethod({ file: '/t', read: async () => content })
    const error = await method.evidence(signal).catch((caught) => caught)
    t.match(error, { code: 'CONFIG_INVALID', detail: /\/t/ })
    t.notMatch(error.message, 'short-secret')
  }
})
