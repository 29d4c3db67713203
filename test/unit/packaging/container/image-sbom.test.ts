import t from 'tap'
import { basePackages } from '../../../../packaging/container/base-packages.ts'
import { imageSbom } from '../../../../packaging/container/image-sbom.ts'

t.test('it lists npm packages, Node, and the packages of Debian for each kind of machine', async (t) => {
  const all = { components: [{ name: 'yaml', version: '2.0.0', purl: 'pkg:npm/yaml@2.0.0' }] }
  const parts = { all, packages: ['yaml@2.0.0'], runtime: 'node@26.0.0' }
  const subject = { version: '1.0.0', epoch: 0, digest: 'sha256:ab', archs: ['amd64', 'arm64'] as const }
  const sbom = imageSbom(parts, subject) as {
    metadata: { component: object }
    components: { purl: string; hashes?: { content: string }[] }[]
  }
  t.match(sbom.metadata.component, {
    type: 'container',
    version: '1.0.0',
    purl: 'pkg:oci/mooring-controller@sha256%3Aab?tag=1.0.0',
  })
  const purls = sbom.components.map(({ purl }) => purl)
  t.same(purls.slice(0, 2), ['pkg:npm/node@26.0.0', 'pkg:npm/yaml@2.0.0'])
  t.equal(purls.length, 2 + 2 * basePackages.length)
  t.ok(purls.includes('pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=arm64&distro=bookworm'))
  const libc = sbom.components.find(({ purl }) => purl.startsWith('pkg:deb/debian/libc6@'))
  t.equal(libc?.hashes?.[0]?.content, basePackages.find(({ name }) => name === 'libc6')?.sha256.amd64)
})
