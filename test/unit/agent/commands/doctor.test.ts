import t from 'tap'
import { diagnose, findingsText, isWell } from '../../../../agent/commands/doctor.ts'
import { MooringError } from '../../../../shared/errors.ts'

const { signal } = new AbortController()

t.test('every check is made, and each fault has its fix', async (t) => {
  const findings = await diagnose(
    [
      { name: 'disk', look: async () => 'there is room' },
      {
        name: 'ports',
        look: () => Promise.reject(new MooringError('PORT_IN_USE', { detail: '15001 by x' })),
      },
      { name: 'odd', look: () => Promise.reject(new TypeError('odd')) },
      { name: 'security', severity: 'hint', look: () => Promise.reject(new MooringError('CAPTURE_FAILED')) },
      { name: 'last', look: async () => 'well' },
    ],
    signal,
  )
  t.same(
    findings.map(({ check, result }) => `${check} ${result}`),
    ['disk well', 'ports wrong', 'odd wrong', 'security hint', 'last well'],
  )
  t.match(findings[1], { code: 'PORT_IN_USE', detail: /15001 by x/, fix: /Stop the program/ })
  t.notOk(isWell(findings))
  const text = findingsText(findings)
  t.match(text, /WRONG ports .*15001 by x\n.*fix: Stop the program/)
  t.match(text, /2 things are wrong\.\n$/)
})

t.test('a hint is nothing wrong', async (t) => {
  const hint = {
    name: 'x',
    severity: 'hint',
    look: () => Promise.reject(new MooringError('CAPTURE_FAILED')),
  } as const
  const findings = await diagnose([hint], signal)
  t.ok(isWell(findings))
  t.match(findingsText(findings), /Nothing is wrong\.\n$/)
})
