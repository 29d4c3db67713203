import t from 'tap'
import { parseCommand } from '../../bench/command.ts'

t.test('the command line', async (t) => {
  t.same(parseCommand([]), { name: undefined, json: undefined, n: 10, sizes: {}, profile: undefined })
  t.same(parseCommand(['lifecycle', '--json', 'a.json', '--n', '12']), {
    name: 'lifecycle',
    json: 'a.json',
    n: 12,
    sizes: {},
    profile: undefined,
  })
  t.match(parseCommand(['fleet', '--vms', '300', '--seconds', '60', '--profile', '/tmp/p']), {
    sizes: { vms: 300, seconds: 60 },
    profile: '/tmp/p',
  })
  t.match(parseCommand(['joins', '--joins', '50']), { sizes: { joins: 50 } })
  for (const wrong of [
    ['a', 'b'],
    ['--n', '0'],
    ['--n', '1.5'],
    ['--n', 'ten'],
    ['--fast'],
    ['--vms', '1e9'],
    ['--joins', '-1'],
  ])
    t.throws(() => parseCommand(wrong), { code: 'CONFIG_INVALID' }, wrong.join(' '))
})
