import { existsSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { renderConditions, renderErrors } from '../../../packaging/docs/catalogues.ts'
import { conditionTypes } from '../../../shared/conditions.ts'
import { errorCatalogue } from '../../../shared/error-catalogue.ts'
import { lifecycleDiagram } from '../../../shared/lifecycle.ts'
import { filesOf, productFiles, root, textOf } from './source-tree.ts'

/** Codes that nothing in the sources uses yet, with the reason why they are in the catalogue. */
const reserved: Record<string, string> = {}

const headings = (file: string) => [...textOf(file).matchAll(/^## `?(\w+)`?$/gm)].map((match) => match[1])

t.test('docs/errors.md lists exactly the catalogue', async (t) => {
  t.same(headings('docs/errors.md').toSorted(), Object.keys(errorCatalogue).toSorted())
  t.equal(textOf('docs/errors.md'), renderErrors(), 'node packaging/docs/catalogues.ts writes it anew')
})

t.test('docs/conditions.md lists exactly the catalogue', async (t) => {
  t.same(headings('docs/conditions.md'), conditionTypes)
  t.equal(
    textOf('docs/conditions.md'),
    renderConditions(),
    'node packaging/docs/catalogues.ts writes it anew',
  )
})

t.test('every error code is used', async (t) => {
  const code = productFiles()
    .filter((file) => file !== 'shared/error-catalogue.ts')
    .map(textOf)
    .join('\n')
  const unused = Object.keys(errorCatalogue).filter((name) => !code.includes(`'${name}'`))
  t.same(unused.toSorted(), Object.keys(reserved).toSorted())
})

t.test('every condition is reported by somebody', async (t) => {
  const code = productFiles()
    .filter((file) => file !== 'shared/conditions.ts')
    .map(textOf)
    .join('\n')
  t.same(
    conditionTypes.filter((type) => !code.includes(`'${type}'`)),
    [],
  )
})

t.test('ARCHITECTURE.md shows the lifecycle table as it is', async (t) => {
  const [, diagram] = /```mermaid\n([\s\S]*?)\n```/.exec(textOf('ARCHITECTURE.md')) ?? []
  t.equal(diagram, lifecycleDiagram())
})

t.test('links between documents lead somewhere', async (t) => {
  const broken = filesOf('*.md', 'docs/**/*.md', 'packaging/**/*.md').flatMap((file) =>
    [...textOf(file).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)]
      .map(([, target = '']) => path.join(path.dirname(file), target))
      .filter((target) => !existsSync(path.join(root, target)))
      .map((target) => `${file}: ${target}`),
  )
  t.same(broken, [])
})

t.test('the lock file names no registry', async (t) => {
  t.notMatch(textOf('package-lock.json'), /"resolved": "(?!file:)/)
})

t.test('no file holds a path of the machine it was written on', async (t) => {
  const text = /\.(ts|js|json|md|ya?ml|sh|toml|service|cfg|conf|txt|html|css|sql)$|(^|\/)[^.]+$/
  const own = /(?<![\w.-])\/(?:work|root|home\/[a-z]\w*)\/[\w.-]+/
  const wrong = filesOf('**/*', '.ci/*', '.*')
    .filter((file) => text.test(file))
    .flatMap(
      (file) =>
        own
          .exec(textOf(file))
          ?.slice(0, 1)
          .map((found) => `${file}: ${found}`) ?? [],
    )
  t.same(wrong, [])
})
