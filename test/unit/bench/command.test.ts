import t from 'tap'
import { parseCommand } from '../../bench/command.ts'

t.test('the command line', async (t) => {
  t.same(parseCommand([]), { name: undefined, json: undefined, n: 10 })
  t.same(parseCommand(['lifecycle', '--json', 'a.json', '--n', '12']), {
    name: 'lifecycle',
    json: 'a.json',
    n: 12,
  })
  for (const wrong of [['a', 'b'], ['--n', '0'], ['--n', '1.5'], ['--n', 'ten'], ['--fast']])
    t.throws(() => parseCommand(wrong), { code: 'CONFIG_INVALID' }, wrong.join(' '))
})
