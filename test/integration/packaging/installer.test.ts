import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { runCommand } from '../../testbed/command.ts'

const script = resolve(import.meta.dirname, '../../../packaging/installer/install.sh')

async function folder(t: Test) {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-installer-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

t.test('a script that was cut does nothing, wherever it was cut', async (t) => {
  const dir = await folder(t)
  const text = await readFile(script, 'utf8')
  const lines = [...text.matchAll(/\n/g)].map(({ index }) => index)
  const last = text.lastIndexOf('{\n')
  const lastBytes = Array.from({ length: text.length - last - 2 }, (_, i) => last + i)
  const cuts = [...lines.filter((_, i) => i % 5 === 0), ...lastBytes]
  // What would be run if anything were: the trap says so.
  const trap = join(dir, 'bin')
  for (const name of ['id', 'uname', 'curl', 'wget', 'mktemp', 'grep', 'cat'])
    await makeTrap(trap, name, join(dir, 'ran'))
  for (const cut of cuts) {
    const result = await runCommand('/bin/sh', ['-s', '--', '--base-url', 'https://127.0.0.1:1/'], {
      input: text.slice(0, cut),
      env: { PATH: trap, MOORING_PUBLIC_KEY: script },
    })
    if ((await readdir(dir)).includes('ran')) return t.fail(`cut at ${cut}: ${result.stderr}`)
  }
  const whole = await runCommand('/bin/sh', ['-s', '--', '--base-url', 'https://127.0.0.1:1/'], {
    input: text,
    env: { PATH: trap, MOORING_PUBLIC_KEY: script },
  })
  t.not(whole.code, 0)
  t.ok((await readdir(dir)).includes('ran'), 'the whole script does run')
})

t.test('wrong usage is named, before anything is done', async (t) => {
  const url = 'https://127.0.0.1:1/mooring'
  const cases: [readonly string[], RegExp][] = [
    [[], /--base-url is an https address/],
    [['--base-url', 'http://127.0.0.1:1/'], /--base-url is an https address/],
    [['--base-url', url], /--public-key is needed/],
    [['--base-url', url, '--public-key', '/nowhere'], /there is no key \/nowhere/],
    [['--base-url', url, '--pool', 'web'], /--controller is an https address/],
    [['--base-url', url, '--controller', 'https://c"\nx', '--pool', 'web'], /--controller is an https/],
    [['--base-url', url, '--controller', 'https://c', '--pool', 'web', '--pin', 'sha256:0'], /--pin is/],
    [['--base-url'], /--base-url needs a value/],
    [['--token', 'x'], /there is no option --token/],
  ]
  for (const [args, words] of cases) {
    const { code, stderr } = await runCommand('sh', [script, ...args], { env: { PATH: '/usr/bin:/bin' } })
    t.equal(code, 2, args.join(' '))
    t.match(stderr, words)
  }
  const { code, stdout } = await runCommand('sh', [script, '--help'], { env: { PATH: '/usr/bin:/bin' } })
  t.equal(code, 0)
  t.match(stdout, '--token-file')
})

async function makeTrap(folder: string, name: string, mark: string): Promise<void> {
  await runCommand('mkdir', ['-p', folder])
  await writeFile(join(folder, name), `#!/bin/sh\n: >${mark}\nexit 1\n`, { mode: 0o755 })
}
