import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { bashCompletion } from '../../../packaging/completion/bash.ts'
import { fishCompletion } from '../../../packaging/completion/fish.ts'
import { describePrograms } from '../../../packaging/completion/programs.ts'
import { zshCompletion } from '../../../packaging/completion/zsh.ts'
import { manPages } from '../../../packaging/man/pages.ts'
import { run } from '../../../packaging/tools/command.ts'
import { onPath } from '../../testbed/on-path.ts'
import { ensureDebianPackages } from '../../testbed/parts/debian-packages.ts'

const wanted = { bash: 'bash', zsh: 'zsh', fish: 'fish', mandoc: 'mandoc' }
for (const [program, name] of Object.entries(wanted)) {
  if ((await onPath(program)) === undefined) await ensureDebianPackages({ names: [name] })
}
const folder = await mkdtemp(path.join(tmpdir(), 'mooring-completion-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
const programs = describePrograms()

/** What is tried in every shell: the words so far, and what must and must not be offered. */
const cases = [
  { program: 'mooring', words: ['v'], has: ['vm', 'version'], lacks: ['pool'] },
  { program: 'mooring', words: ['vm', ''], has: ['list', 'show', 'explain', 'drain'], lacks: ['login'] },
  {
    program: 'mooring',
    words: ['token', 'create', '--'],
    has: ['--pool', '--uses', '--ttl', '--json'],
    lacks: ['list'],
  },
  { program: 'mooring', words: ['--json', 'token', 'l'], has: ['list'], lacks: ['create'] },
  {
    program: 'mooring-agent',
    words: [''],
    has: ['run', 'status', 'drain', 'leave', 'doctor'],
    lacks: ['facts'],
  },
  { program: 'mooring-agent', words: ['status', '--'], has: ['--json', '--config'], lacks: ['drain'] },
  { program: 'mooring-controller', words: ['p'], has: ['pin'], lacks: ['run'] },
] as const

for (const { program, words, has, lacks } of cases) {
  const line = [program, ...words].join(' ')
  const check = (t: Test, shell: string, offered: readonly string[]) => {
    for (const word of has) t.ok(offered.includes(word), `${shell} offers ${word}: ${offered.join(' ')}`)
    for (const word of lacks) t.notOk(offered.includes(word), `${shell} does not offer ${word}`)
  }
  t.test(`after: ${line}`, async (t) => {
    const { program: shape } = programs[program]
    const file = path.join(folder, `${program}-${words.length}`)

    await writeFile(file, bashCompletion(shape))
    const bash = `source ${file}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _${program.replaceAll('-', '_')}; printf '%s\\n' "\${COMPREPLY[@]}"`
    check(t, 'bash', (await run('bash', ['-uc', bash, 'bash', program, ...words])).split('\n'))

    await writeFile(file, zshCompletion(shape))
    // In place of what zsh has only while a line is edited.
    const zsh = `_describe() { local name=\${@[-1]}; print -rl -- \${(P)name%%:*} }; words=("$@"); CURRENT=$#; complete() { source ${file} }; complete`
    const all = (await run('zsh', ['-fc', zsh, 'zsh', program, ...words])).split('\n')
    const start = words.at(-1) ?? ''
    check(
      t,
      'zsh',
      all.filter((word) => word.startsWith(start) && (start !== '' || !word.startsWith('-'))),
    )

    await writeFile(file, fishCompletion(shape))
    const fish = `source ${file}; complete -C '${line}'`
    const lines = (await run('fish', ['--no-config', '-c', fish], { env: { HOME: folder } })).split('\n')
    check(
      t,
      'fish',
      lines.map((one) => one.split('\t')[0] ?? ''),
    )
  })
}

t.test('after an option that takes a file, bash offers files', async (t) => {
  const file = path.join(folder, 'agent')
  await writeFile(file, bashCompletion(programs['mooring-agent'].program))
  const bash = `cd ${folder}; source ${file}; COMP_WORDS=(mooring-agent run --config ag); COMP_CWORD=3; _mooring_agent; echo "\${COMPREPLY[@]}"`
  t.equal((await run('bash', ['-uc', bash])).trim(), 'agent')
})

t.test('the man pages are sound', async (t) => {
  for (const [name, text] of Object.entries(manPages(programs, { version: '1.2.3', epoch: 1_700_000_000 }))) {
    const file = path.join(folder, name)
    await writeFile(file, text)
    // `style` would have it that our names are not in its own database.
    t.equal(await run('mandoc', ['-T', 'lint', '-W', 'error', file]), '', name)
    const shown = await run('mandoc', ['-T', 'html', '-O', 'fragment', file])
    t.match(shown, /COMMANDS[\s\S]+version[\s\S]+FILES/, name)
  }
})
