import path from 'node:path'
import t, { type Test } from 'tap'
import { runFile } from '../../run/file-process.ts'

const never = new AbortController().signal

/** Runs `source` as a test file below the project, so that it finds tap. */
async function runSource(
  t: Test,
  source: string,
  options: { limitSeconds?: number; lingerMs?: number; signal?: AbortSignal; onLine?: () => void } = {},
) {
  const cwd = t.testdir({ 'case.test.ts': source })
  return runFile(
    { path: path.join(cwd, 'case.test.ts'), weight: 'light', limitSeconds: options.limitSeconds ?? 60 },
    {
      node: process.execPath,
      env: { ...process.env, TAP: undefined },
      cwd,
      lingerMs: options.lingerMs ?? 20_000,
      ...(options.onLine === undefined ? {} : { onProgress: options.onLine }),
    },
    options.signal ?? never,
  )
}

t.test('a file that passes', async (t) => {
  const result = await runSource(t, `import t from 'tap'; t.test('a', async (t) => t.pass())`)
  t.match(result, { passed: 1, failed: 0, skipped: 0 })
})

t.test('a file that cannot be loaded fails with what it printed', async (t) => {
  const result = await runSource(t, `import './missing.ts'`)
  t.match(result, { passed: 0, failed: 1 })
  t.match(result.failures[0]?.text, /missing\.ts/)
})

t.test('a file that hangs is stopped at its limit, and the test it was in is named', async (t) => {
  const source = `import t from 'tap'
    process.on('SIGTERM', () => process.exit(0))
    t.test('waits for ever', async (t) => { t.pass('before'); setInterval(() => {}, 1000); await new Promise(() => {}) })`
  let said = ''
  // A busy machine may need longer than that to come to the test.
  for (let limitSeconds = 2; limitSeconds < 60 && !said.includes('waits for ever'); limitSeconds *= 3) {
    const result = await runSource(t, source, { limitSeconds, lingerMs: 500 })
    t.equal(result.failed > 0, true)
    said = result.failures.map((f) => f.path.join(' ') + f.text).join('\n')
  }
  t.match(said, /waits for ever/)
})

t.test('a file that stays after its last test is stopped and fails', async (t) => {
  const source = `import t from 'tap'; setInterval(() => {}, 1000); t.test('a', async (t) => t.pass())`
  const result = await runSource(t, source, { limitSeconds: 25, lingerMs: 200 })
  t.equal(result.passed, 1)
  t.match(result.failures.at(-1)?.text, /something is still open/)
})

t.test('a file that leaves a process behind fails, and the process is gone', async (t) => {
  const source = `import { spawn } from 'node:child_process'
    import t from 'tap'
    t.test('a', async (t) => {
      const child = spawn('sleep', ['600'], { stdio: 'ignore' })
      child.unref()
      t.comment('pid', child.pid)
      t.pass()
    })
    t.test('b', async (t) => t.fail('to see the comment'))`
  const result = await runSource(t, source)
  t.match(result.failures.at(-1)?.text, /left processes behind/)
  const pid = Number(/pid (\d+)/.exec(result.failures.at(-1)?.text ?? '')?.[1])
  t.ok(pid > 0)
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
})

t.test('an interrupted file fails and says so', async (t) => {
  const interrupt = new AbortController()
  const source = `import t from 'tap'; t.test('a', async (t) => { t.pass(); setInterval(() => {}, 1000); await new Promise(() => {}) })`
  const result = await runSource(t, source, { signal: interrupt.signal, onLine: () => interrupt.abort() })
  t.match(result.failures.at(-1)?.text, /interrupted/)
})
