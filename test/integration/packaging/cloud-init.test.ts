import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { type AgentConfig, readConfig } from '../../../agent/config.ts'
import { parseLayer } from '../../../agent/config-layers.ts'

const root = resolve(import.meta.dirname, '../../..')
const textOf = (name: string) => readFile(`${root}/${name}`, 'utf8')

interface WrittenFile {
  readonly path: string
  readonly owner: string
  readonly permissions: string
  readonly content: string
}

/** The files that an example lets cloud-init write. */
async function filesOf(name: string): Promise<readonly WrittenFile[]> {
  const text = await textOf(`packaging/cloud-init/${name}`)
  t.match(text, /^(## template: jinja\n)?#cloud-config\n/, name)
  // What the templates say is tried on a machine, by cloud-init itself.
  const plain = text.replaceAll(/^\{%.*%\}$/gm, '').replaceAll(/\{\{.*?\}\}/g, 'x')
  const config = parse(plain) as { write_files: readonly WrittenFile[] }
  t.same(Object.keys(config), ['write_files'], 'nothing runs')
  return config.write_files
}

/** The package's own configuration, with what these files lay over it. */
async function overTheImage(...files: readonly WrittenFile[]): Promise<AgentConfig> {
  const image = await parseLayer('/etc/mooring/agent.yaml', await textOf('docs/agent.yaml'))
  const layers = await Promise.all(files.map(({ path, content }) => parseLayer(path, content)))
  return readConfig([image, ...layers], {})
}

for (const name of ['user-data.yaml', 'user-data.jinja.yaml'])
  t.test(`${name}: what it writes is a whole configuration, and its token is for root alone`, async (t) => {
    const [settings, token, ...others] = await filesOf(name)
    if (settings === undefined || token === undefined) throw new Error('it writes nothing')
    t.same(others, [])
    const config = await overTheImage(settings)
    t.match(config.controller.url.hostname, /\.mesh\.internal$/)
    t.equal(config.join.tokenFile, token.path)
    t.match(token, { owner: 'root:root', permissions: '0600' })
    t.match(token.content, /^mrt_[\w-]+$/)
    t.match(settings.path, /^\/etc\/mooring\/agent\.d\/.*cloud-init.*\.yaml$/)
    t.notMatch(settings.content, 'mrt_', 'there is no secret in a file that all may read')
  })

t.test(
  'vendor data says where the controller is, user data which pool: together they are whole',
  async (t) => {
    const [vendor, ...others] = await filesOf('vendor-data.yaml')
    if (vendor === undefined) throw new Error('it writes nothing')
    t.same(others, [])
    const own = { path: '/etc/mooring/agent.d/50-cloud-init.yaml', content: 'pool: db' }
    const config = await overTheImage(vendor, { ...vendor, ...own })
    t.equal(config.pool, 'db')
    t.equal(config.controller.url.hostname, 'controller.mesh.internal')
    const script = await textOf('packaging/cloud-init/vendor-data.sh')
    t.match(script, vendor.content, 'the script writes the same')
  },
)

t.test('what cloud-init wrote is removed when an image is sealed', async (t) => {
  const hook = await textOf('packaging/linux-packages/mooring-agent/cloud-clean')
  const [removed = ''] = /^rm -f .*$/m.exec(hook) ?? []
  t.match(removed, '/etc/mooring/agent.d/*cloud-init*.yaml')
  const tokens = (await filesOf('user-data.yaml')).slice(1).map(({ path }) => path)
  for (const path of tokens) t.match(removed, path)
})
