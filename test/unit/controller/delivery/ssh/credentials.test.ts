import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { checkPlace, createCredentials } from '../../../../../controller/delivery/ssh/credentials.ts'

const all = { pools: ['*'], cidrs: [] }

t.test('secrets come from files and variables, and show in nothing', async (t) => {
  const file = join(t.testdir(), 'key')
  await writeFile(file, 'the key\n')
  const credentials = createCredentials({
    environment: { WORD: 'open sesame\n' },
    list: [{ name: 'a', user: 'debian', privateKey: { file }, password: { env: 'WORD' }, ...all }],
  })
  const login = await credentials.read(credentials.find('a', 'web'))
  t.equal(login.privateKey?.reveal(), 'the key\n')
  t.equal(login.password?.reveal(), 'open sesame')
  t.notMatch(inspect(login, { depth: 9 }) + JSON.stringify(login), /the key|sesame/)
})

t.test('what cannot be used is told with its name, and never its content', async (t) => {
  const credentials = createCredentials({
    environment: { EMPTY: '' },
    list: [
      { name: 'gone', user: 'u', privateKey: { file: '/nowhere/key' }, ...all },
      { name: 'empty', user: 'u', password: { env: 'EMPTY' }, ...all },
      { name: 'none', user: 'u', ...all },
      { name: 'db', user: 'u', pools: ['db'], cidrs: [] },
    ],
  })
  for (const name of ['gone', 'empty', 'none']) {
    await t.rejects(credentials.read(credentials.find(name, 'web')), {
      code: 'CREDENTIAL_UNUSABLE',
      detail: name,
    })
  }
  t.throws(() => credentials.find('db', 'web'), { code: 'FORBIDDEN' })
  t.throws(() => credentials.find('other', 'web'), { code: 'NOT_FOUND' })
})

t.test('a credential is used where it may be', async (t) => {
  const pool = ['10.0.0.0/16']
  checkPlace('10.0.3.4', { name: 'a', cidrs: [] }, pool)
  checkPlace('192.168.1.1', { name: 'a', cidrs: ['192.168.0.0/16'] }, pool)
  for (const address of ['10.1.0.1', '127.0.0.1', 'fe80::1', 'not-an-address'])
    t.throws(() => checkPlace(address, { name: 'a', cidrs: [] }, pool), { code: 'ADDRESS_NOT_ALLOWED' })
  t.throws(() => checkPlace('10.0.3.4', { name: 'a', cidrs: ['192.168.0.0/16'] }, pool), {
    code: 'ADDRESS_NOT_ALLOWED',
  })
})
