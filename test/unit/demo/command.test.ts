import t from 'tap'
import { parseCommand } from '../../../demo/command.ts'

t.test('the command line', async (t) => {
  t.same(parseCommand([]), { once: false, json: undefined, mesh: 'standalone', help: false })
  t.same(parseCommand(['--once', '--json', 'a.json']), {
    once: true,
    json: 'a.json',
    mesh: 'standalone',
    help: false,
  })
  for (const wrong of [['twice'], ['--twice'], ['--json'], ['--mesh', 'other']])
    t.throws(() => parseCommand(wrong), { code: 'CONFIG_INVALID' }, wrong.join(' '))
})
