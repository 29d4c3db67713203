import path from 'node:path'
import t from 'tap'
import { importsOf } from './import-graph.ts'
import { codeOf, filesOf, productFiles, textOf } from './source-tree.ts'

const everywhere = '{agent,controller,cli,shared,packaging,demo,test}/**/*.ts'

/** Files of more than 350 lines, with the reason. */
const long: Record<string, string> = {
  'controller/controller.ts':
    'all of one controller is put together in one place, and nothing is decided there',
  'shared/error-catalogue.ts':
    'the catalogue of all errors is one list, so that a code can be looked up in one place',
}

/** Where the clock, the environment, chance and bare errors may be used beside `main.ts`, `cli.ts` and `host/`. */
const ambientUse: Record<string, string> = {
  'shared/clock.ts': 'it is the clock',
  'shared/log.ts': 'lines carry the time at which they are written',
}

/** Tests of rules that have no source file of the same name. */
const testsWithoutSource = ['test/unit/house/']

t.test('a file has one noun, in kebab-case', async (t) => {
  const forbidden = /(^|-)(utils?|helpers?|common|managers?|services?|misc)$/
  const wrong = filesOf(everywhere).filter((file) => {
    const name = path.basename(file).replace(/(\.test)?\.ts$/, '')
    return !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || forbidden.test(name)
  })
  t.same(wrong, [])
})

t.test('a file is at most 350 lines long, or has a reason', async (t) => {
  // A test is a list of cases, which reads well at a greater length.
  const limit = (file: string) => (file.endsWith('.test.ts') ? 500 : 350)
  const over = filesOf(everywhere).filter((file) => textOf(file).split('\n').length - 1 > limit(file))
  t.same(
    over.filter((file) => long[file] === undefined),
    [],
  )
  t.same(
    Object.keys(long).filter((file) => !over.includes(file)),
    [],
    'no exception outlives its reason',
  )
})

// Chance may be a default: `random = Math.random` can still be handed in.
t.test('the clock, the environment and chance are arguments', async (t) => {
  const ambient =
    /\b(Date\.now\(|new Date\(\)|(?<!(=|\?\?) )Math\.random|process\.env|process\.argv|homedir\(|performance\.now)/
  const wrong = productFiles()
    .filter((file) => !/(^|\/)(main|cli)\.ts$|\/host\/|^cli\//.test(file) && ambientUse[file] === undefined)
    .flatMap((file) => {
      const found = ambient.exec(codeOf(file))
      return found === null ? [] : [`${file}: ${found[0]}`]
    })
  t.same(wrong, [])
})

t.test('errors come from the catalogue', async (t) => {
  const bare = /\b(throw|reject\() ?new (Error|TypeError|RangeError)\(/
  t.same(
    productFiles().filter((file) => bare.test(codeOf(file))),
    [],
  )
})

t.test('nothing is handed to a shell, and there are no enums', async (t) => {
  const shell = /\bshell:\s*(true|['"`])|['"](\/bin\/)?(ba)?sh['"],\s*\[\s*['"]-\w*c/
  const wrong = productFiles().filter((file) => {
    const taken = importsOf(file).filter((i) => i.target === 'node:child_process' && !i.typeOnly)
    return (
      shell.test(codeOf(file)) || taken.some((i) => i.names.some((name) => /^(\*|exec|execSync)$/.test(name)))
    )
  })
  t.same(wrong, [])
  t.same(
    productFiles().filter((file) => /^\s*(export\s+)?(const\s+)?enum\s/m.test(codeOf(file))),
    [],
  )
})

t.test('unit tests mirror the sources', async (t) => {
  const sources = new Set(filesOf('**/*.ts').filter((file) => !file.endsWith('.test.ts')))
  const folders = new Set([...sources].map((file) => path.posix.dirname(file)))
  const astray = filesOf('test/unit/**/*.test.ts').filter((file) => {
    if (testsWithoutSource.some((folder) => file.startsWith(folder))) return false
    const stem = file.replace(/^test\/unit\//, '').replace(/\.test\.ts$/, '')
    return ![stem, `test/${stem}`].some((place) => mirrors(place, sources, folders))
  })
  t.same(astray, [])
})

t.test('a file that decides has a unit test of its own', async (t) => {
  const deciders = /\/(plan|rules|objects|lifecycle|guard|admission|explain|policy)\.ts$/
  const tests = filesOf('test/unit/**/*.test.ts')
  const untested = productFiles()
    .filter((file) => deciders.test(file))
    .filter((file) => {
      const stem = `test/unit/${file.replace(/\.ts$/, '')}`
      return !tests.some((test) => test === `${stem}.test.ts` || test.startsWith(`${stem}-`))
    })
  t.same(untested, [])
})

t.test('no test is skipped, and none is the only one', async (t) => {
  const left = /\bt\.(skip|todo|only)\(|\{\s*(skip|todo|only):/
  const wrong = filesOf('test/**/*.test.ts').filter(
    (file) => !file.startsWith('test/unit/run/') && left.test(textOf(file)),
  )
  t.same(wrong, [])
})

/**
 * `a/b` is mirrored by `a/b.ts`, by the folder `a/b`, by a family `a/b-one.ts`, `a/b-two.ts`, and `a/b-aspect` is by
 * `a/b.ts`.
 */
function mirrors(place: string, sources: ReadonlySet<string>, folders: ReadonlySet<string>): boolean {
  if ([...sources].some((source) => source.startsWith(`${place}-`))) return true
  const parts = path.posix.basename(place).split('-')
  const folder = path.posix.dirname(place)
  return parts.some((_, index) => {
    const name = path.posix.join(folder, parts.slice(0, parts.length - index).join('-'))
    return sources.has(`${name}.ts`) || folders.has(name)
  })
}
