import { readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { startController } from '../../fakes/controller.ts'
import { createCommandLine } from '../../unit/cli/command-line.ts'

const password = 'correct horse'

// RSA keys, on a machine that may be busy.
t.setTimeout(300_000)

t.test('mooring makes a client certificate, and works with it instead of a token', async (t) => {
  t.testdir()
  const house = await startController()
  t.teardown(() => house.close())
  const at = (name: string) => path.join(t.testdirName, name)
  await writeFile(at('ca.pem'), house.announcement.ca)
  await writeFile(at('token'), house.admin)
  await writeFile(at('password'), `${password}\nand more\n`)
  await writeFile(at('wrong'), 'battery staple\n')
  const reach = { MOORING_URL: house.url, MOORING_CA_FILE: at('ca.pem') }
  const admin = createCommandLine(t, { env: { ...reach, MOORING_TOKEN_FILE: at('token') } })
  const p12 = at('ann.p12')

  await admin.run('operator', 'create', 'ann', '--role', 'viewer')
  const certify = ['operator', 'certificate', 'ann', '--out', p12]
  t.match(await admin.run(...certify), { code: 2, err: /nobody can be asked/ }, 'nobody types a password')
  const made = await admin.run(...certify, '--password-file', at('password'))
  t.match(made, { code: 0, out: /ann\.p12: operator ann, expires in / })
  t.notMatch(made.out + made.err, password)
  t.equal((await stat(p12)).mode & 0o777, 0o600)
  t.equal((await readFile(p12))[0], 0x30, 'DER')

  const env = { ...reach, MOORING_CLIENT_CERTIFICATE: p12 }
  const ann = createCommandLine(t, { env, secret: password })
  t.match(await ann.run('vm', 'list'), { code: 0 }, 'the password is asked for')
  const withFile = createCommandLine(t, { env: reach })
  const options = ['--client-certificate', p12, '--client-password-file']
  t.match(await withFile.run(...options, at('password'), 'vm', 'list'), { code: 0 })
  t.match(await withFile.run(...options, at('wrong'), 'vm', 'list'), {
    code: 2,
    err: /the password is wrong/,
  })
  t.match(
    await withFile.run(
      '--client-certificate',
      at('token'),
      ...options.slice(2),
      at('password'),
      'vm',
      'list',
    ),
    {
      code: 2,
      err: /is no PKCS#12 file/,
    },
  )
  t.match(await ann.run('operator', 'list'), { code: 3 }, 'the role is too small')
  t.match(await admin.run('operator', 'revoke-certificate', 'ann'), { code: 0, out: /revoked/ })
  t.match(await ann.run('vm', 'list'), { code: 3 }, 'revoked')
})
