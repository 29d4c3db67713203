import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import t, { type Test } from 'tap'
import { readKubeconfigToken } from '../../../cli/kubeconfig.ts'

const contexts = ['a', 'b', 'c', 'd'].map((name) => ({ name, context: { user: name } }))
const users = [
  { name: 'a', user: { token: 'token-of-a' } },
  { name: 'b', user: { token: 'an older one', tokenFile: 'renewed/token' } },
  { name: 'c', user: { exec: { command: 'make-token' }, 'client-certificate-data': 'AAAA' } },
]

async function write(t: Test, content: unknown): Promise<string> {
  const file = path.join(t.testdir(), 'kubeconfig')
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

t.test('the token of the current context, or of another', async (t) => {
  const file = await write(t, { contexts, users, 'current-context': 'a' })
  const current = await readKubeconfigToken(file, undefined)
  t.equal('token' in current && current.token.reveal(), 'token-of-a')
  t.same(await readKubeconfigToken(file, 'b'), { path: path.join(t.testdirName, 'renewed/token') })
})

t.test('a user without a token is refused, and nothing is run', async (t) => {
  const file = await write(t, { contexts, users })
  await t.rejects(readKubeconfigToken(file, 'c'), {
    code: 'CONFIG_INVALID',
    detail: /user "c" has no token; one is made by: kubectl create token/,
  })
  for (const name of ['d', 'nowhere']) {
    await t.rejects(readKubeconfigToken(file, name), {
      code: 'CONFIG_INVALID',
      detail: `${file}: context "${name}" names no user`,
    })
  }
  await t.rejects(readKubeconfigToken(file, undefined), {
    code: 'CONFIG_INVALID',
    detail: `${file}: context "" names no user`,
  })
})

t.test('what is no kubeconfig is said to be none, without its content', async (t) => {
  const secret = 'sssh-0123456789'
  for (const content of [secret, '[1, 2', { contexts: [{ name: 1 }], users: [{ token: secret }] }]) {
    const file = await write(t, content)
    const { detail } = (await readKubeconfigToken(file, 'a').catch((error) => error)) as { detail: string }
    t.match(detail, file)
    t.notMatch(detail, secret)
  }
  await t.rejects(readKubeconfigToken('/nowhere/at/all', undefined), {
    code: 'CONFIG_INVALID',
    detail: /ENOENT/,
  })
})
