import t from 'tap'
import { nobody, probeByExec } from '../../../../agent/health/exec-probe.ts'
import type { ExecOptions, ExecResult } from '../../../../agent/host/exec.ts'

const { signal } = new AbortController()

function exec(result: Partial<ExecResult>) {
  const calls: { command: string; args: readonly string[]; options: ExecOptions }[] = []
  const run = async (command: string, args: readonly string[], options: ExecOptions): Promise<ExecResult> => {
    calls.push({ command, args, options })
    return { code: 0, signal: null, stdout: '', stderr: '', timedOut: false, ...result }
  }
  return { calls, run }
}

t.test('a command that ends with 0 is well, and all else is not', async (t) => {
  const look = (result: Partial<ExecResult>) => probeByExec(['x'], { exec: exec(result).run }, signal)
  t.same(await look({ stdout: 'fine' }), { ok: true, detail: 'ended with 0' })
  t.same(await look({ code: 2, stdout: 'out', stderr: 'one\ntwo \n\n' }), {
    ok: false,
    detail: 'ended with 2: two',
  })
  t.same(await look({ code: 1, stdout: 'out\n' }), { ok: false, detail: 'ended with 1: out' })
  t.same(await look({ code: null, signal: 'SIGKILL' }), { ok: false, detail: 'ended with SIGKILL' })
  t.equal((await look({ code: 1, stderr: 'x'.repeat(5000) })).detail.length, 'ended with 1: '.length + 200)
})

t.test(
  'it is run by its arguments, with nothing of the agent: no environment, not its user, not its group',
  async (t) => {
    const { calls, run } = exec({})
    await probeByExec(['/bin/check', '$HOME', '; true'], { exec: run, user: nobody }, signal)
    t.equal(calls[0]?.command, '/bin/check')
    t.same(calls[0]?.args, ['$HOME', '; true'])
    t.match(calls[0]?.options, { uid: 65_534, gid: 65_534, maxOutput: 4096 })
    t.same(Object.keys(calls[0]?.options.env ?? {}).sort(), ['LANG', 'PATH'])
  },
)
