import t from 'tap'
import { parseCommand } from '../../../demo/command.ts'

t.test('the command line', async (t) => {
  t.same(parseCommand([]), { once: false, json: undefined, help: false })
  t.same(parseCommand(['--once', '--json', 'a.json']), { once: true, json: 'a.json', help: false })
  for (const wrong of [['twice'], ['--twice'], ['--json']])
    t.throws(() => parseCommand(wrong), { code: 'CONFIG_INVALID' }, wrong.join(' '))
})
