import { Writable } from 'node:stream'
import { format, inspect } from 'node:util'
import t from 'tap'
import { MooringError } from '../../../shared/errors.ts'
import { Secret } from '../../../shared/secret.ts'

const value = 'hunter2-hunter2'
const secret = new Secret(value)

t.test('only reveal gives the value', async (t) => {
  t.equal(secret.reveal(), value)
})

t.test('no rendering shows it', async (t) => {
  const error = new MooringError('TOKEN_INVALID', { detail: `token ${secret}`, cause: secret })
  const renderings = {
    template: `${secret}`,
    concatenation: `a ${String(secret)}`,
    json: JSON.stringify({ secret, list: [secret] }),
    inspect: inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
    format: format('%s %o %O %j', secret, secret, secret, secret),
    keys: JSON.stringify([Object.keys(secret), Object.entries(secret), { ...secret }]),
    error: inspect(error, { depth: 9 }),
    stack: String(error.stack),
  }
  for (const [way, text] of Object.entries(renderings)) t.notMatch(text, value, way)
})

t.test('the console does not show it', async (t) => {
  let written = ''
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      written += String(chunk)
      done()
    },
  })
  const { Console } = await import('node:console')
  new Console({ stdout }).log('with', secret, { secret }, [secret])
  t.match(written, /\*\*\*/)
  t.notMatch(written, value)
})

t.test('cloning does not carry it', async (t) => {
  const clone: unknown = structuredClone(secret)
  t.notMatch(inspect(clone, { showHidden: true }), value)
})
