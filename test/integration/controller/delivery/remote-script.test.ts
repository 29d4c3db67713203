import { createHash } from 'node:crypto'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { layout } from '../../../../controller/delivery/ssh/layout.ts'
import { readSaid } from '../../../../controller/delivery/ssh/machine-facts.ts'
import { probeScript, receiveScript, rootScript } from '../../../../controller/delivery/ssh/remote-script.ts'
import { runCommand } from '../../../testbed/command.ts'
import { ensurePrograms } from '../../../testbed/parts/system-programs.ts'
import { silentProgress } from '../../../testbed/progress.ts'

t.test('the scripts hold what their checker asks', async (t) => {
  await ensurePrograms({ shellcheck: 'shellcheck' }, { progress: silentProgress })
  for (const script of [probeScript, `${rootScript}\nmain "$@" </dev/null\n`, receiveScript]) {
    // Verbs are called by the name that is handed over; which units there are is a list of words.
    const codes = '--exclude=SC2317,SC2329,SC2086,SC2015,SC2235'
    const { code, stdout } = await runCommand('shellcheck', ['--shell=sh', codes, '-'], { input: script })
    t.equal(code, 0, stdout)
  }
})

t.test('the probe says what this machine is, and changes nothing', async (t) => {
  const { code, stdout } = await runCommand('/bin/sh', ['-s'], { input: probeScript })
  t.equal(code, 0)
  const said = readSaid(stdout)
  t.same(said.get('system'), ['Linux'])
  t.match(said.get('machine')?.[0], /^(x86_64|aarch64)$/)
  t.ok(said.get('program')?.includes('sha256sum'))
})

t.test('a file arrives in parts, and is whole when its digest is right', async (t) => {
  const { receive, file } = await openStage(t)
  const bytes = 'one part, and the other one'
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const size = String(bytes.length)
  t.equal((await receive([sha256, '0', size], bytes.slice(0, 9))).code, 67, 'the rest is still to come')
  t.equal((await receive([sha256, '3', size], bytes.slice(3))).code, 66, 'it goes on where it is')
  t.equal((await receive([sha256, '9', size], bytes.slice(9))).code, 0)
  t.equal(await readFile(file(sha256), 'utf8'), bytes)
  t.equal((await stat(file(sha256))).mode & 0o777, 0o600)
  await t.rejects(stat(`${file(sha256)}.part`))
})

t.test('nothing is left of one whose digest is wrong', async (t) => {
  const { receive, file } = await openStage(t)
  const sha256 = '0'.repeat(64)
  await writeFile(`${file(sha256)}.part`, 'damaged ')
  t.equal((await receive([sha256, '8', '12'], 'part')).code, 65)
  await t.rejects(stat(`${file(sha256)}.part`))
  await t.rejects(stat(file(sha256)))
})

/** The receiving end, in a folder of the test. */
async function openStage(t: Test) {
  const stage = join(t.testdir(), 'stage')
  await mkdir(stage)
  const script = receiveScript.replaceAll(layout.stage, stage)
  return {
    file: (sha256: string) => join(stage, sha256),
    receive: (args: readonly string[], input: string) =>
      runCommand('/bin/sh', ['-c', script, 'receive', ...args], { input }),
  }
}
