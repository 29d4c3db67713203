import t from 'tap'
import type { Exec, ExecResult } from '../../../../agent/host/exec.ts'
import { readMachineFacts } from '../../../../agent/host/self.ts'

const { signal } = new AbortController()

function answering(result: Partial<ExecResult>): { exec: Exec; calls: unknown[][] } {
  const calls: unknown[][] = []
  const exec: Exec = async (...call) => {
    calls.push(call)
    return { code: 0, signal: null, stdout: '', stderr: '', timedOut: false, ...result }
  }
  return { exec, calls }
}

t.test('facts come from a second process of the program', async (t) => {
  const { exec, calls } = answering({ stdout: '{"os.kernel":"6.1"}\n' })
  t.same(await readMachineFacts(exec, ['/bin/agent'], signal), { 'os.kernel': '6.1' })
  t.match(calls, [['/bin/agent', ['facts'], { timeoutMs: 60_000 }]])
})

t.test('a process that fails, or says something else, is an error', async (t) => {
  const failing = answering({ code: 1, stderr: 'boom' })
  await t.rejects(readMachineFacts(failing.exec, ['a'], signal), { code: 'INTERNAL', message: /facts: boom/ })
  for (const stdout of ['[]', '{"a":1}']) {
    await t.rejects(readMachineFacts(answering({ stdout }).exec, ['a'], signal), { code: 'INTERNAL' })
  }
})
