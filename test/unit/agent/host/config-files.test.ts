import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { readConfigFiles } from '../../../../agent/host/config-files.ts'

async function folder(t: Test) {
  const root = await mkdtemp(join(tmpdir(), 'mooring-config-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  return root
}

t.test('the file first, then those beside it, by name', async (t) => {
  const root = await folder(t)
  const file = join(root, 'agent.yaml')
  t.same(await readConfigFiles(file), [])
  await mkdir(join(root, 'agent.d'))
  for (const name of ['50-b.yaml', '10-a.yaml', 'README', '.hidden.yaml', '60-c.yaml.dpkg-new'])
    await writeFile(join(root, 'agent.d', name), name)
  const names = async () => (await readConfigFiles(file)).map(({ path }) => basename(path))
  t.same(await names(), ['10-a.yaml', '50-b.yaml'], 'there need be no main file')
  await writeFile(file, 'main')
  t.same(await names(), ['agent.yaml', '10-a.yaml', '50-b.yaml'])
  t.equal((await readConfigFiles(file))[0]?.value, 'main')
  await writeFile(join(root, 'agent.d', '50-b.yaml'), 'a: 1\nb: [')
  await t.rejects(readConfigFiles(file), {
    code: 'CONFIG_INVALID',
    detail: new RegExp(`^${join(root, 'agent.d/50-b.yaml')} is not YAML: .* line 2`),
  })
})

t.test('a folder full of files is refused', async (t) => {
  const root = await folder(t)
  await mkdir(join(root, 'x.d'))
  for (let i = 0; i < 33; i++) await writeFile(join(root, 'x.d', `${i}.yaml`), '')
  await t.rejects(readConfigFiles(join(root, 'x.yml')), { code: 'CONFIG_INVALID', detail: /more than 32/ })
})
