import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import t from 'tap'
import { withReleaseKey } from '../../../../packaging/installer/release-key.ts'

const script = resolve(import.meta.dirname, '../../../../packaging/installer/install.sh')

t.test('the installer of a release has its public key, and nothing of the private one', async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const made = withReleaseKey(await readFile(script, 'utf8'), pem)
  const [, key = ''] = /^release_key='([^']+)'$/m.exec(made) ?? []
  t.ok(createPublicKey(key).equals(publicKey))
  t.notMatch(made, 'PRIVATE KEY')
  t.throws(() => withReleaseKey(made, pem), { message: /no place for the key/ })
})
