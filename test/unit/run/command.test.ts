import t from 'tap'
import { parseCommand } from '../../run/command.ts'

t.test('mode, names and options are read', async (t) => {
  t.match(parseCommand(['e2e', 'leave', '--json', 'f', '--failures', 'g', '--skip-core', 'kill'], 2), {
    mode: 'e2e',
    names: ['leave', 'kill'],
    json: 'f',
    failures: 'g',
    skipCore: true,
    withoutMesh: false,
    jobs: 2,
    meshJobs: 1,
  })
  t.equal(parseCommand(['soak', '--minutes', '30'], 2).minutes, 30)
})

t.test('what cannot be meant is refused with the usage', async (t) => {
  for (const argv of [[], ['all'], ['test', '--fast'], ['soak', '--minutes', 'x'], ['test', '--jobs', '0']]) {
    t.throws(() => parseCommand(argv, 2), { code: 'CONFIG_INVALID', detail: /Usage/ }, argv.join(' '))
  }
})
