import t from 'tap'
import { mustRun, runCommand } from '../../testbed/command.ts'
import { identifyProcess, isRunning } from '../../testbed/network/process-identity.ts'

t.test('a command gives what it said and its exit code', async (t) => {
  const result = await runCommand('sh', ['-c', 'cat; echo bad >&2; exit 3'], { input: 'good' })
  t.same(result, { stdout: 'good', stderr: 'bad\n', code: 3 })
})

t.test('a failing command that must not fail carries what it said', async (t) => {
  await t.rejects(mustRun('sh', ['-c', 'echo the reason >&2; exit 4']), {
    code: 'COMMAND_FAILED',
    message: /ended with 4\nthe reason/,
  })
})

t.test('a program that is not there is a coded error', async (t) => {
  await t.rejects(runCommand('there-is-no-such-program', []), { code: 'COMMAND_FAILED' })
})

t.test('a command that takes too long is ended with its children', async (t) => {
  const lines: string[] = []
  const script = 'sleep 1000 & echo $! >&2; wait'
  // A busy machine may need longer than that to come to the first line.
  for (let timeoutMs = 500; lines.length === 0; timeoutMs *= 3) {
    const running = runCommand('sh', ['-c', script], { timeoutMs, onLine: (line) => lines.push(line) })
    await t.rejects(running, { code: 'COMMAND_TIMED_OUT' })
  }
  t.match(lines[0], /^\d+$/)
  const child = await identifyProcess(Number(lines[0]))
  t.equal(child, undefined, 'the child of the command is gone too')
})

t.test('an aborted command is ended and says why', async (t) => {
  const aborter = new AbortController()
  const running = runCommand('sh', ['-c', 'echo up >&2; exec sleep 1000'], {
    signal: aborter.signal,
    onLine: () => aborter.abort(new Error('changed my mind')),
  })
  await t.rejects(running, { message: 'changed my mind' })
  await t.rejects(async () => runCommand('true', [], { signal: aborter.signal }), {
    message: 'changed my mind',
  })
})

t.test('a pid with another start time is another process', async (t) => {
  const self = await identifyProcess(process.pid)
  t.ok(self)
  if (self === undefined) return
  t.ok(await isRunning(self))
  t.notOk(await isRunning({ ...self, startTime: '1' }))
})
