import t from 'tap'
import { emulatedCommand } from '../../../testbed/machines/emulated-command.ts'
import { cardsOf } from '../../../testbed/machines/seed.ts'

t.test('an emulated machine has its cards, its console and its own kernel', async (t) => {
  const cards = cardsOf(2, true).map((card) => ({ card, tap: `${card.name}m2` }))
  const files = { kernel: '/k', initrd: '/i', disk: '/d', seed: '/s', control: '/c', shell: '/p' }
  const [command, args] = emulatedCommand({
    arch: 'x64',
    name: 'q',
    memoryMb: 512,
    processors: 1,
    cards,
    ...files,
  })
  t.equal(command, 'qemu-system-x86_64')
  const text = args.join(' ')
  t.match(text, 'tap,id=eth1,ifname=eth1m2,script=no')
  t.match(text, 'mac=02:77:01:00:01:02')
  t.match(text, 'console=ttyS0')
  t.equal(
    emulatedCommand({ arch: 'arm64', name: 'q', memoryMb: 512, processors: 1, cards, ...files })[0],
    'qemu-system-aarch64',
  )
})
