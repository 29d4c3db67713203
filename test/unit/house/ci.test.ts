import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { root } from './source-tree.ts'

/** Runs `.ci/run` with an npm that gives these answers, in a folder where nothing else is. */
function runCi(
  t: Test,
  answers: {
    check?: number
    test?: readonly [string, number]
    e2e?: readonly [string, number]
    /** What the tests add to the failures. */
    failures?: string
  },
) {
  const [test, testStatus] = answers.test ?? ['10 passed, 0 failed', 0]
  const [e2e, e2eStatus] = answers.e2e ?? ['5 passed, 0 failed', 0]
  const npm = `#!/usr/bin/env bash
case "$*" in
  'run --silent check') echo "check says this"; exit ${answers.check ?? 0} ;;
  'run --silent e2e -- --skip-core --mesh-jobs 2 --failures '*) echo "some line"; echo "${e2e}"; exit ${e2eStatus} ;;
  'test --silent -- --failures '*)
    printf '${answers.failures ?? ''}' >>"\${@: -1}"
    echo "CI is $CI"; echo "${test}"; exit ${testStatus} ;;
esac
exit 99`
  const folder = t.testdir({ bin: { npm }, node_modules: { '.bin': { node: '' } } })
  chmodSync(path.join(folder, 'bin/npm'), 0o755)
  chmodSync(path.join(folder, 'node_modules/.bin/node'), 0o755)
  mkdirSync(path.join(folder, '.ci'))
  cpSync(path.join(root, '.ci/run'), path.join(folder, '.ci/run'))
  const { stdout, status } = spawnSync(path.join(folder, '.ci/run'), {
    env: { ...process.env, PATH: `${folder}/bin:${process.env.PATH}` },
    encoding: 'utf8',
    timeout: 60_000,
  })
  return { status, out: stdout, last: stdout.trimEnd().split('\n').at(-1) }
}

t.test('the last line adds up what both runs counted', async (t) => {
  const { status, last, out } = runCi(t, {})
  t.same([status, last], [0, '15 passed, 0 failed'])
  t.match(out, /CI is true/)
})

t.test('nothing that failed is lost', async (t) => {
  const cases = [
    [{ check: 1 }, '15 passed, 1 failed'],
    [{ test: ['9 passed, 1 failed', 1] }, '14 passed, 1 failed'],
    [{ e2e: ['4 passed, 2 failed', 1] }, '14 passed, 2 failed'],
    [{ test: ['9 passed, 0 failed, 2 skipped', 1] }, '14 passed, 1 failed, 2 skipped'],
    [{ e2e: ['it fell over', 1] }, '10 passed, 1 failed'],
    [{ test: ['', 0] }, '5 passed, 1 failed'],
  ] as const
  for (const [answers, expected] of cases) {
    const { status, last } = runCi(t, answers)
    t.same([status, last], [1, expected], JSON.stringify(answers))
  }
})

t.test('every failure is shown right before the last line, and not without end', async (t) => {
  const shown = (answers: Parameters<typeof runCi>[1]) => {
    const [, end = ''] = runCi(t, answers).out.split('All that failed:\n')
    return end.trimEnd().split('\n')
  }
  t.same(shown({ test: ['9 passed, 1 failed', 1], failures: '   f.test.ts > a\\n       diff\\n' }), [
    '   f.test.ts > a',
    '       diff',
    '',
    '14 passed, 1 failed',
  ])
  t.same(shown({ check: 1 }), [
    '   npm run check failed',
    '       check says this',
    '',
    '15 passed, 1 failed',
  ])
  t.match(shown({ e2e: ['it fell over', 1] }), [
    '   no result line from: npm run',
    /./,
    '       it fell over',
  ])
  const many = shown({ test: ['9 passed, 1 failed', 1], failures: 'line\\n'.repeat(400) })
  t.equal(many.length, 153)
  t.match(many.at(150), '250 more lines above')
  t.notMatch(runCi(t, {}).out, 'All that failed')
})
