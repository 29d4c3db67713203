import fc from 'fast-check'
import t from 'tap'
import { argumentsVariable, environmentFile, hashIn } from '../../../../agent/sidecar/systemd-environment.ts'

const file = (env: Record<string, string>, args: readonly string[] = []) =>
  environmentFile({ env, args, hash: 'a1' })

/** What systemd makes of a value in double quotes (src/basic/env-file.c). */
function unquoted(text: string, name: string): string | undefined {
  const start = text.indexOf(`\n${name}="`)
  if (start < 0) return undefined
  let value = ''
  for (let at = start + name.length + 3; at < text.length; at += 1) {
    if (text[at] === '"') return value
    if (text[at] === '\\') at += 1
    value += text[at]
  }
  return undefined
}

t.test('it names its specification, every variable, and the arguments as one', async (t) => {
  const text = file({ B: '1', A: '' }, ['proxy', 'sidecar', '--templateFile', '/v/t.json'])
  t.equal(
    text,
    `# specification a1\nB="1"\nA=""\n${argumentsVariable}="proxy sidecar --templateFile /v/t.json"\n`,
  )
  t.equal(hashIn(text), 'a1')
  t.equal(hashIn(''), undefined)
  t.equal(hashIn('A="# specification b2"'), undefined)
})

t.test('a value is read as it was written', async (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', '"', '\\', '$', '`', ' ', '\n', '\t', "'", '#', 'é') }),
      (value) => {
        t.equal(unquoted(file({ VALUE: value }), 'VALUE'), value)
      },
    ),
    { numRuns: 200 },
  )
})

t.test('what systemd would change or drop is refused', async (t) => {
  for (const [env, args] of [
    [{ 'A-B': '1' }, []],
    [{ '1A': '1' }, []],
    [{ A: 'a\0b' }, []],
    [{ A: 'a\u001bb' }, []],
    [{}, ['with space']],
    [{}, ['$HOME']],
    [{}, ['100%']],
    [{}, ['']],
  ] as [Record<string, string>, string[]][]) {
    t.throws(() => file(env, args), { code: 'CONFIG_INVALID' }, JSON.stringify([env, args]))
  }
})
