import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { keyPin, pinPattern } from '../../../shared/pin.ts'

t.test('a pin has its form and follows the key', async (t) => {
  const [a, b] = [0, 1].map(() =>
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'der' }),
  ) as [Buffer, Buffer]
  t.match(keyPin(a), new RegExp(pinPattern))
  t.equal(keyPin(a), keyPin(Buffer.from(a)))
  t.not(keyPin(a), keyPin(b))
})

t.test('it is what openssl and sha256sum print', async (t) => {
  t.equal(keyPin(Buffer.from('')), 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
})
