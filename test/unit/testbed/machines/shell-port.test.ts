import { spawnSync } from 'node:child_process'
import t from 'tap'
import { shellAnswer, shellLine } from '../../../testbed/machines/shell-port.ts'

t.test('what goes through the port comes out as it was, whatever it holds', async (t) => {
  const odd = `it's "odd"; $(reboot) \\ \n ü`
  const line = shellLine('a1', 'sh', ['-c', 'cat; printf %s "$1" >&2; exit 3', 'sh', odd], 'in\nput')
  const said = spawnSync('bash', ['-c', `eval "$1"`, 'bash', line.replaceAll('/run/', `${t.testdir()}/`)], {
    encoding: 'utf8',
  })
  t.same(shellAnswer('a1', said.stdout), { code: 3, stdout: 'in\nput', stderr: odd })
  t.equal(shellAnswer('a2', said.stdout), undefined, 'the answer to another question')
  t.equal(shellAnswer('a1', said.stdout.slice(0, -3)), undefined, 'half an answer')
  t.notMatch(line, '\n', 'one line, as the port reads them')
})
