import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { exec } from '../../../../agent/host/exec.ts'

const options = { env: {}, timeoutMs: 20_000 }
const sh = (script: string, more = {}) => exec('/bin/sh', ['-c', script], { ...options, ...more })

async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat !== '' && !/\) [ZX] /.test(stat)
}

t.test('code, output and signal come back', async (t) => {
  t.match(await sh('echo out; echo err >&2; exit 3'), {
    code: 3,
    signal: null,
    stdout: 'out\n',
    stderr: 'err\n',
  })
  t.match(await sh('kill -TERM $$'), { code: null, signal: 'SIGTERM', timedOut: false })
})

t.test('nothing reaches a shell, nothing is inherited', async (t) => {
  t.match(await exec('/bin/echo', ['$HOME; `id`'], options), { stdout: '$HOME; `id`\n' })
  const { stdout } = await sh('echo "[$PATH_OF_TEST][$ONLY]"; cat; pwd', {
    env: { ONLY: 'this' },
    input: 'in\n',
  })
  t.equal(stdout, '[][this]\nin\n/\n')
})

t.test('a program that is not there is code 127', async (t) => {
  t.match(await exec('/no/such/program', [], options), { code: 127, stderr: /ENOENT/ })
})

t.test('too much output is dropped, and the program goes on', async (t) => {
  const { code, stdout } = await sh('head -c 1000000 /dev/zero | tr "\\0" x; exit 5', { maxOutput: 1000 })
  t.equal(code, 5)
  t.equal(stdout, 'x'.repeat(1000))
})

t.test('input that nobody reads is no error', async (t) => {
  t.match(await sh('exit 0', { input: 'x'.repeat(1_000_000) }), { code: 0 })
})

t.test('when the time is over the whole group is killed', async (t) => {
  const file = join(t.testdir(), 'pid')
  let pid = 0
  // A busy machine may need longer than that to come to the first line.
  for (let timeoutMs = 300; pid === 0; timeoutMs *= 3) {
    const result = await sh(`sleep 60 & echo $! > ${file}; sleep 60`, { timeoutMs })
    t.match(result, { code: null, signal: 'SIGKILL', timedOut: true })
    pid = Number(await readFile(file, 'utf8').catch(() => ''))
  }
  while (await isAlive(pid)) await sleep(5)
  t.pass('no child is left')
})

t.test('an abort kills it and rejects with the reason', async (t) => {
  const stop = new AbortController()
  const running = sh('sleep 60', { signal: stop.signal })
  stop.abort(new Error('stopped'))
  await t.rejects(running, { message: 'stopped' })
  await t.rejects(sh('exit 0', { signal: stop.signal }), { message: 'stopped' })
})

t.test('a descendant that left the group holds nothing up, and what was said is kept', async (t) => {
  const file = join(t.testdir(), 'pid')
  const script = `setsid sh -c 'echo $$ > ${file}; exec sleep 60' & while [ ! -s ${file} ]; do sleep 0.01; done; echo said; exit 4`
  const result = await sh(script, { env: { PATH: '/usr/bin:/bin' }, timeoutMs: 50_000 })
  t.match(result, { code: 4, signal: null, stdout: 'said\n', timedOut: false })
  const pid = Number(await readFile(file, 'utf8'))
  t.ok(await isAlive(pid), 'it goes on by itself')
  process.kill(pid, 'SIGKILL')
})

t.test('nor does one whose parent ran out of time', async (t) => {
  const file = join(t.testdir(), 'pid')
  let pid = 0
  for (let timeoutMs = 300; pid === 0; timeoutMs *= 3) {
    const script = `setsid sh -c 'echo $$ > ${file}; exec sleep 60' & sleep 60`
    const result = await sh(script, { env: { PATH: '/usr/bin:/bin' }, timeoutMs })
    t.match(result, { code: null, signal: 'SIGKILL', timedOut: true })
    pid = Number(await readFile(file, 'utf8').catch(() => ''))
  }
  t.ok(await isAlive(pid))
  process.kill(pid, 'SIGKILL')
})
