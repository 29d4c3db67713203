import { closeSync, fstatSync, openSync } from 'node:fs'
import t from 'tap'
import { createJournalWriter, isJournal, journalEntry } from '../../../../agent/host/journal.ts'
import { createLog } from '../../../../shared/log.ts'
import { Secret } from '../../../../shared/secret.ts'

/** Reads an entry back, as the journal does. */
function fieldsOf(entry: Uint8Array): Record<string, string> {
  const bytes = Buffer.from(entry)
  const fields: Record<string, string> = {}
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf('\n', at)
    const length = Number(bytes.readBigUInt64LE(end + 1))
    fields[bytes.toString('utf8', at, end)] = bytes.toString('utf8', end + 9, end + 9 + length)
    at = end + 9 + length + 1
  }
  return fields
}

function world(takes = true) {
  const entries: Record<string, string>[] = []
  const lines: string[] = []
  let vm: string | undefined
  const write = createJournalWriter({
    send(payload) {
      entries.push(fieldsOf(payload as Uint8Array))
      return takes
    },
    context: () => ({ vm }),
    fallback: (line) => lines.push(line),
  })
  return { log: createLog({ level: 'debug', write }), entries, lines, join: () => (vm = 'vm-1') }
}

t.test('an entry says it in words and in fields, and whose it is once that is known', async (t) => {
  const { log, entries, join } = world()
  log.info('agent started')
  join()
  log.warn('step failed', { step: 'join', code: 'TOKEN_INVALID', detail: 'a "b"', retryMs: 20 })
  log.child({ part: 'x' }).error('gone')
  t.same(entries[0], { MESSAGE: 'agent started', PRIORITY: '6', SYSLOG_IDENTIFIER: 'mooring-agent' })
  t.match(entries[1], {
    MESSAGE: 'step failed step=join code=TOKEN_INVALID detail="a \\"b\\"" retryMs=20 vm=vm-1',
    PRIORITY: '4',
    MOORING_CODE: 'TOKEN_INVALID',
    MOORING_RETRY_MS: '20',
    MOORING_VM: 'vm-1',
  })
  t.match(entries[2], { PRIORITY: '3', MOORING_PART: 'x' })
})

t.test('no value gets out of its field, and none is endless', async (t) => {
  const { log, entries } = world()
  log.info('x', { detail: 'a\nPRIORITY=0\n_PID=1', long: 'é'.repeat(9000), 'odd name!': { a: 1 } })
  t.same(Object.keys(entries[0] ?? {}), [
    'MESSAGE',
    'PRIORITY',
    'SYSLOG_IDENTIFIER',
    'MOORING_DETAIL',
    'MOORING_LONG',
    'MOORING_ODD_NAME_',
  ])
  t.equal(entries[0]?.MOORING_DETAIL, 'a\nPRIORITY=0\n_PID=1')
  t.equal(entries[0]?.MOORING_ODD_NAME_, '{"a":1}')
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`f${n}`, 'y'.repeat(9000)]))
  t.ok(journalEntry({ message: 'x', ...many }).length < 150_000)
})

t.test('a secret stays one', async (t) => {
  const { log, entries } = world()
  log.info('x', { token: 'hidden-1', inner: { authorization: 'hidden-2' }, held: new Secret('hidden-3') })
  t.notMatch(JSON.stringify(entries), /hidden/)
})

t.test('what the journal does not take is not lost', async (t) => {
  const { log, lines } = world(false)
  log.info('agent started', { pool: 'web' })
  t.match(JSON.parse(lines[0] ?? ''), { message: 'agent started', pool: 'web', level: 'info' })
})

t.test('the journal is known by device and inode', async (t) => {
  const fd = openSync('/dev/null', 'w')
  t.teardown(() => closeSync(fd))
  const { dev, ino } = fstatSync(fd, { bigint: true })
  t.equal(isJournal(`${dev}:${ino}`, fd), true)
  t.equal(isJournal(`${dev}:${ino + 1n}`, fd), false)
  t.equal(isJournal(undefined, fd), false)
  t.equal(isJournal(`${dev}:${ino}`, 99_999), false)
})
