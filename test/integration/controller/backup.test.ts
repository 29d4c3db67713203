import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { pack } from 'tar-stream'
import { backUp, restore } from '../../../controller/backup.ts'
import { systemClock } from '../../../shared/clock.ts'
import { startController } from '../../fakes/controller.ts'

// Processes and files, on a machine that may be busy.
t.setTimeout(300_000)

const project = resolve(import.meta.dirname, '../../..')

function setUp(t: { teardown(fn: () => void): void }) {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-backup-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return {
    folder,
    file: join(folder, 'backup.tar.gz'),
    dataDir: join(folder, 'data'),
    other: join(folder, 'other'),
  }
}

const deps = (dataDir: string) => ({ dataDir, clock: systemClock, version: '1.0.0' })

t.test('restored elsewhere, a controller knows its VMs, and they know it', async (t) => {
  const { folder, file, dataDir, other } = setUp(t)
  const house = await startController({ dataDir })
  await house.applyPool('web')
  const { token } = await house.token('web', { uses: 2 })
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  const { vm } = await agent.join()
  const keys = ['mesh/ca/root/ca-key.pem', 'mesh/issuer-key.pem']
  for (const name of keys) {
    await mkdir(join(dataDir, name, '..'), { recursive: true })
    await writeFile(join(dataDir, name), `the content of ${name}`, { mode: 0o600 })
  }

  // By the command, while the controller runs.
  const config = join(folder, 'controller.yaml')
  writeFileSync(config, `dataDir: ${dataDir}\nmesh: {istiod: {binary: /bin/true}}\n`)
  const main = join(project, 'controller/main.ts')
  await promisify(execFile)(process.execPath, [main, 'backup', '--config', config, '--out', file])
  t.equal((await stat(file)).mode & 0o777, 0o600, 'it holds keys')
  await t.rejects(
    promisify(execFile)(process.execPath, [main, 'restore', '--config', config, '--force', file]),
    /another controller uses this data folder/,
    'nothing is put under a running one',
  )
  const { ca } = house.announcement
  await house.close()

  t.same(await restore(file, { dataDir: other, force: false }), {})
  for (const name of keys) t.equal(await readFile(join(other, name), 'utf8'), `the content of ${name}`)
  t.equal((await stat(join(other, 'pki/authority.pem'))).mode & 0o777, 0o600)
  const again = await startController({ dataDir: other, admin: house.admin })
  t.teardown(() => again.close())
  t.equal(again.announcement.ca, ca, 'the same authority')
  t.same(
    (await again.vms()).map((one) => one.id),
    [vm],
    'a VM that was known is known',
  )
  const second = await again.agent({ pool: 'web', token, address: '10.0.0.2' })
  t.match((await second.join()).vm, /^vm-/, 'a token that was valid is valid')
  t.notMatch((await readdir(dataDir)).join(), '.backup-', 'nothing is left of the making')
})

t.test('data that are there are never lost to a restore', async (t) => {
  const { file, dataDir } = setUp(t)
  const house = await startController({ dataDir })
  await house.applyPool('web')
  await backUp(file, deps(dataDir))
  await house.applyPool('later')
  await house.close()
  await t.rejects(restore(file, { dataDir, force: false }), {
    code: 'CONFIG_INVALID',
    detail: /holds controller.sqlite/,
  })
  await t.rejects(backUp(file, deps(dataDir)), { code: 'CONFIG_INVALID', detail: /exists/ })

  const { setAside = '' } = await restore(file, { dataDir, force: true })
  t.ok((await readdir(setAside)).includes('controller.sqlite'))
  const pools = async (folder: string) => {
    const one = await startController({ dataDir: folder, admin: house.admin })
    const { json } = await one.call<{ name: string }[]>('GET', '/v1/pools')
    await one.close()
    return json().map(({ name }) => name)
  }
  t.same(await pools(dataDir), ['web'], 'as it was then')
  t.same(await pools(setAside), ['later', 'web'], 'and what was there is whole')
})

t.test('what is no backup changes nothing', async (t) => {
  const { file, dataDir, other } = setUp(t)
  await t.rejects(backUp(file, deps(dataDir)), { code: 'CONFIG_INVALID', detail: /nothing|there is no/ })
  const house = await startController({ dataDir })
  await house.close()
  await backUp(file, deps(dataDir))
  const good = await readFile(file)

  const wrong: Record<string, Buffer> = {
    'not an archive': Buffer.from('x'.repeat(1000)),
    'cut short': good.subarray(0, good.length / 2),
    empty: Buffer.alloc(0),
    'a way out of the folder': await archive({
      'mooring-backup.json': '{"format":1}',
      'pki/../../evil': 'x',
    }),
    'another file': await archive({ 'mooring-backup.json': '{"format":1}', 'etc/passwd': 'x' }),
    'of a later format': await archive({ 'mooring-backup.json': '{"format":2}', 'controller.sqlite': 'x' }),
    'without its mark': await archive({ 'controller.sqlite': 'x' }),
    'without a database': await archive({ 'mooring-backup.json': '{"format":1}' }),
    'with a damaged database': await archive({
      'mooring-backup.json': '{"format":1}',
      'controller.sqlite': 'x',
    }),
  }
  for (const [what, content] of Object.entries(wrong)) {
    await writeFile(file, content)
    await t.rejects(
      restore(file, { dataDir: other, force: true }),
      { code: /CONFIG_INVALID|STORE_UNREADABLE/ },
      what,
    )
    t.same(await readdir(other), ['controller.lock'], `${what}: nothing was put there`)
  }
})

async function archive(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const tar = pack()
  for (const [name, content] of Object.entries(files)) tar.entry({ name }, content)
  tar.finalize()
  const parts: Uint8Array[] = []
  for await (const part of tar as AsyncIterable<Uint8Array>) parts.push(part)
  return gzipSync(Buffer.concat(parts))
}
