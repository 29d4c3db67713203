import t from 'tap'
import { parseTargets } from '../../../testbed/parts/apt-source.ts'

const debian = [
  'Debian|Debian|http://mirror.example/debian/|bookworm|bookworm|main',
  'Debian|Debian|http://mirror.example/debian/|bookworm|bookworm|contrib',
  'Debian|Debian|http://mirror.example/debian/|bookworm-updates|bookworm-updates|main',
  'Debian|Debian-Security|http://mirror.example/security/|bookworm-security|bookworm-security|main',
  'Debian|Debian Backports|http://mirror.example/debian/|bookworm-backports|bookworm-backports|main',
]
const others = ['Somebody|Somebody|https://packages.example/apt|stable|stable|main', '']

t.test("Debian's own sources, among those of others", async (t) => {
  t.same(parseTargets([...others, ...debian, ...debian].join('\n')), {
    suite: 'bookworm',
    mirror: 'http://mirror.example/debian/',
    lines: [
      'deb http://mirror.example/debian/ bookworm main',
      'deb http://mirror.example/debian/ bookworm-updates main',
      'deb http://mirror.example/security/ bookworm-security main',
    ],
  })
})

t.test('a machine without a source of Debian has none', async (t) => {
  t.equal(parseTargets(others.join('\n')), undefined)
  t.equal(parseTargets(''), undefined)
  // Before the first `apt-get update` apt cannot say whose a source is.
  t.equal(
    parseTargets('$(ORIGIN)|$(LABEL)|http://mirror.example/debian/|bookworm|$(CODENAME)|main'),
    undefined,
  )
})
