import path from 'node:path'
import t from 'tap'
import { basePackages } from '../../../../packaging/container/base-packages.ts'
import {
  baseEntries,
  programEntries,
  user,
  withInterpreter,
} from '../../../../packaging/container/contents.ts'

t.test('the first line names the interpreter, whatever it was', async (t) => {
  t.equal(withInterpreter('#!/usr/bin/env node\nx()\n', '/n'), '#!/n\nx()\n')
  t.equal(withInterpreter('x()\n', '/n'), '#!/n\nx()\n')
})

t.test('of the packages come libraries and licences, and what lists them', async (t) => {
  const library = { 'libc.so.6': '', 'ld-linux-x86-64.so.2': '', gconv: { 'UTF-16.so': '' } }
  const base = t.testdir({
    root: {
      lib: { 'x86_64-linux-gnu': library },
      lib64: { 'ld-linux-x86-64.so.2': t.fixture('symlink', '../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2') },
      usr: { share: { doc: { libc6: { copyright: 'LGPL', 'NEWS.gz': '' } }, lintian: { x: '' } } },
    },
    control: Object.fromEntries(basePackages.map(({ name }) => [name, { control: `Package: ${name}\n` }])),
  })
  const entries = await baseEntries(base, '/some/node')
  const names = entries.map(({ name }) => name)
  t.same(
    names.filter((name) => name.includes('lib')).toSorted(),
    [
      'lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
      'lib/x86_64-linux-gnu/libc.so.6',
      'lib64/ld-linux-x86-64.so.2',
      'usr/lib/mooring/node',
      'usr/share/doc/libc6/copyright',
      ...basePackages.map(({ name }) => `var/lib/dpkg/status.d/${name}`),
    ].filter((name) => name.includes('lib')),
  )
  t.match(
    entries.find(({ name }) => name === 'lib64/ld-linux-x86-64.so.2'),
    { link: '../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2' },
  )
  t.match(
    entries.find(({ name }) => name.endsWith('gnu/ld-linux-x86-64.so.2')),
    { mode: 0o755 },
    'the loader is a program',
  )
  t.match(
    entries.find(({ name }) => name === 'etc/passwd'),
    { content: `:${user}:${user}:` },
  )
})

t.test('both programs start by their name', async (t) => {
  const dir = t.testdir({ controller: '#!/usr/bin/env node\na\n', cli: '#!/usr/bin/env node\nb\n' })
  const [controller, cli] = [path.join(dir, 'controller'), path.join(dir, 'cli')]
  const entries = await programEntries({ controller, cli, version: '1.2.3', licence: '/LICENSE' })
  const at = (name: string) => entries.find((entry) => entry.name === name)
  t.match(at('usr/bin/mooring'), { link: '../lib/mooring/cli/main.mjs' })
  t.match(at('usr/lib/mooring/cli/main.mjs'), { content: '#!/usr/lib/mooring/node\nb\n', mode: 0o755 })
  t.match(at('usr/bin/mooring-controller'), { link: '../lib/mooring/controller/main.mjs' })
  t.match(at('usr/lib/mooring/package.json'), {
    content: '{"name":"mooring","version":"1.2.3","type":"module"}\n',
  })
  t.match(at('var/lib/mooring-controller'), { folder: true, mode: 0o700, uid: user })
})
