import t from 'tap'
import { type ErrorCode, errorCatalogue } from '../../../shared/error-catalogue.ts'
import { errorText, isErrorCode, isMooringError, MooringError } from '../../../shared/errors.ts'

const codes = Object.keys(errorCatalogue) as ErrorCode[]

t.test('every entry says what is the case and what to do, in whole words', async (t) => {
  for (const code of codes) {
    const { title, fix, status } = errorCatalogue[code]
    t.match(code, /^[A-Z]+(_[A-Z]+)*$/)
    t.ok(title.length > 10 && !title.endsWith('.'), `${code}: ${title}`)
    t.match(fix, /^\S.{10,}\.$/, code)
    t.ok(status === 0 || (status >= 400 && status < 600), `${code}: ${status}`)
  }
  t.equal(
    new Set(codes.map((code) => errorCatalogue[code].title)).size,
    codes.length,
    'no two titles are the same',
  )
})

t.test('an error carries code, detail, cause and advice', async (t) => {
  const cause = new Error('ENOSPC')
  const error = new MooringError('DISK_FULL', { detail: 'in the state folder', cause })
  t.match(error, {
    name: 'MooringError',
    code: 'DISK_FULL',
    detail: 'in the state folder',
    retryable: true,
    status: 507,
  })
  t.equal(error.message, 'There is no room to write: in the state folder')
  t.equal(error.cause, cause)
  t.equal(error.fix, errorCatalogue.DISK_FULL.fix)
  t.equal(new MooringError('NOT_FOUND').message, errorCatalogue.NOT_FOUND.title)
  t.equal(new MooringError('NOT_FOUND').status, 404)
})

t.test('codes are recognised, and what an object inherits is none', async (t) => {
  t.equal(isErrorCode('NOT_FOUND'), true)
  for (const text of ['', 'toString', '__proto__', 'FROM_THE_FUTURE']) t.equal(isErrorCode(text), false, text)
  t.equal(isMooringError(new MooringError('CONFLICT')), true)
  t.equal(isMooringError(new MooringError('CONFLICT'), 'NOT_FOUND'), false)
  t.equal(isMooringError(new Error('CONFLICT')), false)
  t.equal(errorText('plain'), 'plain')
  t.equal(errorText(new Error('x')), 'x')
})
