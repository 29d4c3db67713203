import t from 'tap'
import { hasProgram } from '../../../../agent/host/programs.ts'

t.test('a program is there or is not', async (t) => {
  t.equal(await hasProgram('sh'), true)
  t.equal(await hasProgram('no-such-program-anywhere'), false)
})
