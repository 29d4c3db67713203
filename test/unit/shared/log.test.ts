import { closeSync, openSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { createLog, type Log, silentLog } from '../../../shared/log.ts'
import { Secret } from '../../../shared/secret.ts'

/** What `write` logs, line by line. */
function lines(t: Test, write: (log: Log) => void, level: 'debug' | 'info' = 'info') {
  const file = path.join(t.testdir(), 'log')
  const fd = openSync(file, 'w')
  write(createLog({ level, fd, fields: { program: 'test' } }))
  closeSync(fd)
  const text = readFileSync(file, 'utf8')
  return {
    text,
    parsed: text
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>),
  }
}

t.test('a line is JSON with level, time, message and fields', async (t) => {
  const { parsed } = lines(t, (log) => log.child({ vm: 'vm-1' }).warn('it is so', { count: 2 }))
  t.match(parsed, [
    { level: 'warn', program: 'test', vm: 'vm-1', count: 2, message: 'it is so', time: /^\d{4}-.*Z$/ },
  ])
})

t.test('what is below the level is not written', async (t) => {
  const write = (log: Log) => {
    log.debug('a')
    log.info('b')
    log.error('c')
  }
  t.same(
    lines(t, write).parsed.map((l) => l.message),
    ['b', 'c'],
  )
  t.equal(lines(t, write, 'debug').parsed.length, 3)
})

t.test('secrets do not reach the log, by type or by name', async (t) => {
  const value = 'hunter2-hunter2'
  const { text } = lines(t, (log) => {
    log.info('typed', { any: new Secret(value), deep: { list: [new Secret(value)] } })
    for (const name of ['token', 'key', 'privateKey', 'password', 'secret', 'authorization', 'evidence']) {
      log.info('named', { [name]: value })
    }
    log.info('nested', { request: { token: value }, headers: { authorization: value } })
  })
  t.notMatch(text, value)
  t.match(text, /\*\*\*/)
})

t.test('no field costs a line', async (t) => {
  const loop: Record<string, unknown> = {}
  loop.loop = loop
  const { parsed } = lines(t, (log) => {
    log.error('failed', { error: new Error('because'), big: 2n, none: undefined })
    log.error('in a circle', { loop })
    log.error('own words', { level: 'info', time: 0 })
  })
  t.match(parsed[0], { error: /because/, big: '2', message: 'failed' })
  t.match(parsed[1], { level: 'error', message: 'in a circle' })
  t.match(parsed[2], { level: 'error', time: /^\d{4}-/ })
  t.equal(parsed.length, 3)
})

t.test('a reader that is gone is no reason to fail', async (t) => {
  const file = path.join(t.testdir(), 'log')
  const fd = openSync(file, 'w')
  closeSync(fd)
  t.doesNotThrow(() => createLog({ level: 'info', fd }).info('to nobody'))
})

t.test('lines go where they are told to, without their end', async (t) => {
  const seen: string[] = []
  createLog({ level: 'info', write: (line) => seen.push(line) }).info('so', { n: 1 })
  t.equal(seen.length, 1)
  t.match(JSON.parse(seen[0] ?? ''), { level: 'info', n: 1, message: 'so' })
  t.notMatch(seen[0], '\n')
})

t.test('the silent log takes everything and says nothing', async (t) => {
  t.equal(silentLog.child({ a: 1 }), silentLog)
  t.doesNotThrow(() => silentLog.error('x', { y: 1 }))
})
