import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { configPath, readConfig, writeContext } from '../../../cli/config-file.ts'

const context = { server: 'https://c:8443', ca: 'PEM', operator: 'ada', token: 'secret-token', expiresAt: 1 }

t.test('the place follows the XDG rules', async (t) => {
  t.equal(configPath({}, '/h'), '/h/.config/mooring/config.json')
  t.equal(configPath({ XDG_CONFIG_HOME: '/x' }, '/h'), '/x/mooring/config.json')
  t.equal(configPath({ XDG_CONFIG_HOME: 'relative' }, '/h'), '/h/.config/mooring/config.json')
})

t.test('contexts are added, the last one is current, and only the owner can read them', async (t) => {
  const file = path.join(t.testdir(), 'deep/mooring/config.json')
  t.match(await readConfig(file), { contexts: {} }, 'none is no error')
  await writeContext(file, 'default', context)
  await writeContext(file, 'edge', { ...context, operator: 'bo' })
  t.match(await readConfig(file), {
    current: 'edge',
    contexts: { default: { operator: 'ada' }, edge: { operator: 'bo' } },
  })
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.equal((await stat(path.dirname(file))).mode & 0o777, 0o700)
  t.same(await readdir(path.dirname(file)), ['config.json'], 'no draft stays behind')
})

t.test('a file that others can read is refused, and so is one that is damaged', async (t) => {
  const file = path.join(t.testdir(), 'config.json')
  await writeContext(file, 'default', context)
  await chmod(file, 0o644)
  await t.rejects(readConfig(file), { code: 'CONFIG_INVALID', detail: /chmod 600/ })
  await chmod(file, 0o600)
  for (const text of ['{"version":1,', '{"version":9}', '[]']) {
    await writeFile(file, text)
    await t.rejects(readConfig(file), { code: 'CONFIG_INVALID' }, text)
    t.equal(await readFile(file, 'utf8'), text, 'and left as it is')
  }
})
