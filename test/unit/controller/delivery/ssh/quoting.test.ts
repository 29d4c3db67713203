import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { commandLine } from '../../../../../controller/delivery/ssh/quoting.ts'

t.test('a shell takes every word as it is', async (t) => {
  const word = fc.string({ unit: 'binary-ascii' }).filter((text) => !text.includes('\0'))
  fc.assert(
    fc.property(fc.array(word, { maxLength: 4 }), (words) => {
      const line = commandLine(['printf', '%s\\n', ...words, 'end'])
      const said = execFileSync('/bin/sh', ['-s'], { input: line, encoding: 'utf8' })
      return said === [...words, 'end', ''].join('\n')
    }),
    { numRuns: 40 },
  )
  t.equal(commandLine(['a b', "it's", '$(no)']), `'a b' 'it'\\''s' '$(no)'`)
})
