import t from 'tap'
import { healthRequest, servingStatus } from '../../../../agent/health/grpc-health.ts'

t.test('a request is one field in a frame', async (t) => {
  t.equal(healthRequest('').toString('hex'), '0000000000')
  t.equal(healthRequest('shop.Cart').toString('hex'), '000000000b0a0973686f702e43617274')
  const long = healthRequest('x'.repeat(200))
  t.equal(long.toString('hex', 0, 8), '00000000cb0ac801', 'a length of two bytes')
  t.equal(long.length, 5 + 203)
})

t.test('an answer says what its one field says', async (t) => {
  const said = (hex: string) => servingStatus(Buffer.from(hex, 'hex'))
  t.equal(said('00000000020801'), 'SERVING')
  t.equal(said('00000000020802'), 'NOT_SERVING')
  t.equal(said('00000000020803'), 'SERVICE_UNKNOWN')
  t.equal(said('0000000000'), 'UNKNOWN', 'zero is left out')
  t.equal(said('00000000020809'), 'UNKNOWN', 'a value of later')
  t.equal(said('000000000612026869' + '0801'), 'SERVING', 'after a field that nobody knows')
})

t.test('what is no such answer says nothing', async (t) => {
  for (const hex of [
    '',
    '00000000',
    '01000000020801',
    '0000000003080100ff',
    '000000000108',
    '0000000002' + '0dff',
  ]) {
    t.equal(servingStatus(Buffer.from(hex, 'hex')), undefined, hex)
  }
})
