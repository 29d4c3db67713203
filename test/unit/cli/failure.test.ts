import t from 'tap'
import { exitCodeOf, failureJson, renderFailure } from '../../../cli/failure.ts'
import { createPaint } from '../../../cli/table.ts'
import { MooringError } from '../../../shared/errors.ts'

const paint = createPaint(false)

t.test('an error is said with its code, cause and fix', async (t) => {
  t.equal(
    renderFailure(new MooringError('FORBIDDEN', { detail: 'operator of pool web' }), paint),
    'error FORBIDDEN: This operator may not do this\n  cause  operator of pool web\n  fix    Ask an administrator for what `detail` names: a role, or in a cluster a permission.\n',
  )
  t.notMatch(renderFailure(new MooringError('FORBIDDEN'), paint), /cause/)
  t.equal(renderFailure(new Error('odd\u001b[2J'), paint), 'error: odd [2J\n')
})

t.test('programs get the same', async (t) => {
  t.match(failureJson(new MooringError('CONFLICT', { detail: 'x' })), {
    code: 'CONFLICT',
    detail: 'x',
    retryable: true,
  })
  t.same(failureJson(new Error('odd')), { title: 'odd' })
})

t.test('exit statuses tell kinds apart', async (t) => {
  const cases = {
    CONFIG_INVALID: 2,
    REQUEST_INVALID: 2,
    UNAUTHENTICATED: 3,
    FORBIDDEN: 3,
    ENROLMENT_INVALID: 3,
    CONTROLLER_UNREACHABLE: 4,
    CONTROLLER_UNTRUSTED: 4,
    NOT_FOUND: 1,
    INTERNAL: 1,
  } as const
  for (const [code, exit] of Object.entries(cases)) {
    t.equal(exitCodeOf(new MooringError(code as keyof typeof cases)), exit, code)
  }
  t.equal(exitCodeOf(new Error('x')), 1)
})
