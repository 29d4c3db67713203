import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { writeAtomic } from '../../../agent/host/files.ts'
import { migrations, openState, peekState, type State, stateVersion } from '../../../agent/state.ts'
import { silentLog } from '../../../shared/log.ts'

const first: State = { version: 1, privateKey: 'first' }
const second: State = { ...first, left: { at: 1, reason: 'operator' } }
const third: State = { ...first, revoked: { at: 2 } }

async function place(t: Test): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mooring-state-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return path.join(folder, 'deeper/state.json')
}

t.test('what was written is there after a restart', async (t) => {
  const file = await place(t)
  const store = await openState({ path: file, log: silentLog })
  t.equal(store.current(), undefined)
  await store.write(first)
  await store.write(second)
  t.same(store.current(), second)
  t.same((await openState({ path: file, log: silentLog })).current(), second)
  t.same(await peekState(file), second)
})

t.test(
  'a crash after any number of bytes of any write leaves the state before it, or the one after',
  async (t) => {
    const file = await place(t)
    for (let failing = 0; failing < 4; failing += 1) {
      for (const share of [0, 0.3, 0.99]) {
        const start = await openState({ path: file, log: silentLog })
        await start.write(first)
        await start.write(second)
        let writes = 0
        const store = await openState({
          path: file,
          log: silentLog,
          // Worse than a crash: the disk keeps half of a file in the place of the whole one.
          async write(target, content, options) {
            writes += 1
            if (writes <= failing) return writeAtomic(target, content, options)
            await writeFile(target, String(content).slice(0, String(content).length * share))
            throw new Error('power cut')
          },
        })
        await store.write(third).catch(() => {})
        const { privateKey } = (await openState({ path: file, log: silentLog })).current() ?? {}
        t.equal(privateKey, 'first', `write ${failing + 1}, ${share} of it`)
      }
    }
  },
)

t.test('a failed write changes nothing in memory', async (t) => {
  const file = await place(t)
  let broken = false
  const store = await openState({
    path: file,
    log: silentLog,
    write: (...args) => (broken ? Promise.reject(new Error('no room')) : writeAtomic(...args)),
  })
  await store.write(first)
  broken = true
  await t.rejects(store.write(second), /no room/)
  t.same(store.current(), first)
})

t.test('a damaged file is made up for by its copy; both damaged is an error', async (t) => {
  const file = await place(t)
  const store = await openState({ path: file, log: silentLog })
  await store.write(first)
  await writeFile(file, '{"version":1')
  t.same(
    (await openState({ path: file, log: silentLog })).current(),
    first,
    'there is a copy from the first write on',
  )
  await writeFile(file, JSON.stringify({ version: 1, privateKey: 7 }))
  t.same(
    (await openState({ path: file, log: silentLog })).current(),
    first,
    'the schema decides, not the syntax',
  )
  await writeFile(`${file}.previous`, '')
  await t.rejects(openState({ path: file, log: silentLog }), { code: 'STATE_UNREADABLE' })
  t.equal(await peekState(file), undefined)
  await rm(file)
  await t.rejects(openState({ path: file, log: silentLog }), { code: 'STATE_UNREADABLE' })
})

t.test('a state of a newer agent is refused, and left as it is', async (t) => {
  const file = await place(t)
  await (await openState({ path: file, log: silentLog })).write(first)
  const newer = JSON.stringify({ version: stateVersion + 1, anything: 'else' })
  await writeFile(file, newer)
  await t.rejects(openState({ path: file, log: silentLog }), { code: 'STATE_TOO_NEW' })
  t.equal(await readFile(file, 'utf8'), newer)
})

t.test('what a killed write left behind is removed', async (t) => {
  const file = await place(t)
  await (await openState({ path: file, log: silentLog })).write(first)
  await writeFile(path.join(path.dirname(file), '.state.json.0123456789ab.tmp'), 'half')
  await openState({ path: file, log: silentLog })
  t.same((await readdir(path.dirname(file))).sort(), ['state.json', 'state.json.previous'])
})

t.test('there is a migration from every older version', async (t) => {
  const versions = Array.from({ length: stateVersion - 1 }, (_, index) => index + 1)
  t.same(Object.keys(migrations).map(Number), versions)
})
