import t from 'tap'
import { type Ending, emptyTally, lastLine, sum, tally } from '../../run/tally.ts'
import { createTapReader } from '../../run/tap-reader.ts'

const good: Ending = { code: 0, signal: null, during: [], tail: '', errorTail: '' }

function count(text: string, ending: Partial<Ending> = {}) {
  const reader = createTapReader('f.test.ts')
  for (const line of text.split('\n')) reader.line(line)
  return tally(reader.root, { ...good, during: reader.open(), ...ending })
}

t.test('tests are counted, not assertions, and a holder of tests is none', async (t) => {
  const result = count(`# Subtest: holder
    # Subtest: a
        ok 1 - x
        ok 2 - y
        1..2
    ok 1 - a
    # Subtest: b
        ok 1 - x
        1..1
    ok 2 - b
    1..2
ok 1 - holder
1..1`)
  t.match(result, { passed: 2, failed: 0, skipped: 0 })
})

t.test('assertions of the file itself are one test', async (t) => {
  t.match(count('ok 1 - x\nok 2 - y\n1..2'), { passed: 1, failed: 0 })
  t.match(count('ok 1 - x\nnot ok 2 - y\n1..2', { code: 1 }), { passed: 0, failed: 1 })
})

t.test('a failure counts once, in the test that made it', async (t) => {
  const result = count(
    `# Subtest: holder
    ok 1 - own
    # Subtest: a
        not ok 1 - broke
          ---
          found: 1
          ...
        # the log said so
        1..1
    not ok 2 - a
    1..2
not ok 1 - holder
1..1`,
    { code: 1, errorTail: 'warning: x' },
  )
  t.match(result, { passed: 1, failed: 1 })
  t.same(result.failures[0]?.path, ['f.test.ts', 'holder', 'a'])
  const text = result.failures[0]?.text ?? ''
  for (const part of ['broke', 'found: 1', 'the log said so', 'warning: x']) t.ok(text.includes(part), part)
})

t.test('a test without an assertion fails: it proves nothing', async (t) => {
  const result = count('# Subtest: empty\n    1..0\nok 1 - empty\n1..1')
  t.match(result, { passed: 0, failed: 1 })
  t.match(result.failures[0]?.text, /no assertion/)
})

t.test('skipped and postponed tests and assertions are counted with their reasons', async (t) => {
  const result = count(`ok 1 - s # SKIP no kernel
ok 2 - d # TODO
# Subtest: half
    ok 1 - x
    ok 2 - y # SKIP rest
    1..2
ok 3 - half
1..3`)
  t.match(result, { passed: 1, failed: 0, skipped: 3 })
  t.same(
    result.skips.map((s) => s.text),
    ['skip: rest', 'skip: no kernel', 'todo: no reason given'],
  )
})

t.test('a file fails when its process tells another story than its tests', async (t) => {
  const fine = 'ok 1 - x\n1..1'
  t.match(count(fine, { code: 3 }).failures, [{ text: /exit code 3/ }])
  t.match(count(fine, { code: null, signal: 'SIGKILL' }).failures, [{ text: /SIGKILL/ }])
  t.match(count(fine, { stopped: 'it hung', tail: 'last words' }).failures, [
    { text: /it hung\n.*\n.*last words/ },
  ])
  t.match(count('', { code: 0 }).failures, [{ text: /before its plan/ }])
  t.match(count('ok 1 - x', { code: 0 }).failures, [{ text: /before its plan/ }])
  t.match(count('ok 1 - x\n1..2', { code: 0 }).failures, [{ text: /announced 2 tests and reported 1/ }])
  t.match(count('1..0 # not here').failures, [{ text: /no test in it \(not here\)/ }])
  t.match(count('Bail out! bad', { code: 1 }).failures, [{ text: /gave up: bad/ }])
})

t.test('a test that was open when the process died has not passed', async (t) => {
  const result = count('# Subtest: boots\n    ok 1 - started', { code: null, signal: 'SIGKILL' })
  t.match(result, { passed: 0, failed: 1, scenes: [{ name: 'boots', result: 'failed' }] })
  t.match(result.failures[0]?.text, /It was in: boots/)
})

t.test('scenes carry the figures that they report', async (t) => {
  const result = count(
    `# Subtest: leave
    # mooring-scene {"name":"leave under load","requests":10000,"failed":0}
    ok 1 - none failed
    1..1
ok 1 - leave
# Subtest: cut
    not ok 1 - closed
    # mooring-scene {"requests":7,"failed":2}
    1..1
not ok 2 - cut
# Subtest: plain
    ok 1 - x
    1..1
ok 3 - plain
ok 4 - other # SKIP why
1..4`,
    { code: 1 },
  )
  t.same(result.scenes, [
    { name: 'leave under load', result: 'passed', requests: 10000, failed: 0 },
    { name: 'cut', result: 'failed', requests: 7, failed: 2 },
    { name: 'plain', result: 'passed', requests: 0, failed: 0 },
    { name: 'other', result: 'skipped', requests: 0, failed: 0 },
  ])
})

t.test('figures that cannot be read fail the test that gave them', async (t) => {
  for (const json of ['{"requests":', '{"requests":-1,"failed":0}', '{"requests":"many","failed":0}', '{}']) {
    const text = `# Subtest: a\n    # mooring-scene ${json}\n    # mooring-scene {"requests":1,"failed":0}\n    ok 1 - x\n    1..1\nok 1 - a\n1..1`
    t.match(count(text), { failed: json.endsWith('}') ? 1 : 0 }, json)
  }
})

t.test('the last line names skips only when there are some', async (t) => {
  t.equal(lastLine({ passed: 3, failed: 1, skipped: 0 }), '3 passed, 1 failed')
  t.equal(lastLine({ passed: 3, failed: 1, skipped: 2 }), '3 passed, 1 failed, 2 skipped')
  const one = count('ok 1 - x\n1..1')
  t.match(sum([one, emptyTally, one]), { passed: 2, failed: 0, skipped: 0 })
})
