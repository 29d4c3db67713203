import t from 'tap'
import { packageFolder, programSbom } from '../../../../packaging/release/sbom.ts'

const all = {
  serialNumber: 'urn:uuid:of-this-moment',
  components: [
    { name: 'yaml', version: '2.0.0', purl: 'pkg:npm/yaml@2.0.0' },
    { name: 'yaml', version: '1.0.0', purl: 'pkg:npm/yaml@1.0.0' },
    { name: 'tap', version: '21.0.0', purl: 'pkg:npm/tap@21.0.0' },
  ],
}
const subject = { name: 'x', version: '1.0.0', epoch: 0, packages: ['yaml@2.0.0'], runtime: 'node@26.0.0' }

t.test('it lists what is within, in the version that is', async (t) => {
  const sbom = programSbom(all, subject)
  t.match(sbom, { specVersion: '1.5', metadata: { timestamp: '1970-01-01T00:00:00.000Z' } })
  t.same(
    (sbom as { components: { purl: string }[] }).components.map((one) => one.purl),
    ['pkg:npm/node@26.0.0', 'pkg:npm/yaml@2.0.0'],
  )
  t.notMatch(JSON.stringify(sbom), 'of-this-moment')
})

t.test('a package that npm does not know stops it', async (t) => {
  t.throws(() => programSbom(all, { ...subject, packages: ['other@1.0.0'] }), /does not know other@1\.0\.0/)
})

t.test('a file belongs to the innermost package', async (t) => {
  t.equal(packageFolder('node_modules/a/node_modules/@b/c/index.js'), 'node_modules/a/node_modules/@b/c')
  t.equal(packageFolder('node_modules/yaml/dist/x.js'), 'node_modules/yaml')
  t.equal(packageFolder('agent/main.ts'), undefined)
})
