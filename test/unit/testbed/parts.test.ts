import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { acquireFileLock } from '../../testbed/file-lock.ts'
import { fullPath } from '../../testbed/on-path.ts'
import { isAtLeast } from '../../testbed/parts/go.ts'
import { istioKey, oldestIstio } from '../../testbed/parts/istio.ts'
import { createPartCache, defaultCacheRoot, type PartRecipe } from '../../testbed/parts/part-cache.ts'
import { missingPackages } from '../../testbed/parts/system-programs.ts'
import { silentProgress } from '../../testbed/progress.ts'

function recipe(make: PartRecipe['make']): PartRecipe {
  return { key: 'thing-1.0', label: 'a thing', files: ['bin/thing'], executables: ['bin'], make }
}

async function makeThing(dir: string): Promise<void> {
  await mkdir(join(dir, 'bin'), { mode: 0o700 })
  await writeFile(join(dir, 'bin', 'thing'), 'made', { mode: 0o600 })
}

t.test('a part is made once, also when two want it at the same time', async (t) => {
  const root = t.testdir()
  let made = 0
  const caches = [1, 2].map(() => createPartCache({ root, progress: silentProgress }))
  const wanted = recipe(async (dir) => {
    made++
    await makeThing(dir)
  })
  const dirs = await Promise.all(caches.map((cache) => cache.provide(wanted)))
  t.equal(made, 1)
  t.same(dirs, [join(root, 'thing-1.0'), join(root, 'thing-1.0')])
  t.equal(await readFile(join(root, 'thing-1.0', 'bin', 'thing'), 'utf8'), 'made')
})

t.test('everybody may read a part and run its programs, whatever its maker said', async (t) => {
  const dir = await createPartCache({ root: t.testdir(), progress: silentProgress }).provide(
    recipe(makeThing),
  )
  t.equal((await stat(join(dir, 'bin'))).mode & 0o777, 0o755)
  t.equal((await stat(join(dir, 'bin', 'thing'))).mode & 0o777, 0o755)
})

t.test('a part whose making failed leaves nothing, and can be made afterwards', async (t) => {
  const root = t.testdir()
  const cache = createPartCache({ root, progress: silentProgress })
  const failing = recipe(async (dir) => {
    await makeThing(dir)
    throw new Error('no network')
  })
  await t.rejects(cache.provide(failing), { message: 'no network' })
  t.same(await readdir(root), ['thing-1.0.lock'])
  t.ok(existsSync(join(await cache.provide(recipe(makeThing)), 'bin', 'thing')))
})

t.test('a recipe that gives too little is refused', async (t) => {
  const cache = createPartCache({ root: t.testdir(), progress: silentProgress })
  await t.rejects(cache.provide(recipe(async () => {})), { code: 'BUILD_FAILED' })
})

t.test('what a dead maker left is taken away, and a part with a missing file is made again', async (t) => {
  const root = t.testdir({ 'thing-1.0.making-1': { junk: 'x' }, 'thing-1.0': { other: 'y' } })
  const dir = await createPartCache({ root, progress: silentProgress }).provide(recipe(makeThing))
  t.same((await readdir(root)).toSorted(), ['thing-1.0', 'thing-1.0.lock'])
  t.same(await readdir(dir), ['bin'])
})

t.test('a lock is free at once when its owner was killed', async (t) => {
  const path = join(t.testdir(), 'lock')
  const module = new URL('../../testbed/file-lock.ts', import.meta.url).href
  const program = `
    const { acquireFileLock } = await import(${JSON.stringify(module)})
    await acquireFileLock(${JSON.stringify(path)})
    console.log('held')
    setInterval(() => {}, 1000)`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH },
  })
  await new Promise((resolve) => owner.stdout.once('data', resolve))

  let waited = false
  const acquired = acquireFileLock(path).then((lock) => {
    waited = true
    return lock
  })
  await t.rejects(acquireFileLock(path, { signal: AbortSignal.timeout(200) }), { name: 'TimeoutError' })
  t.equal(waited, false, 'it is held while the owner lives')
  owner.kill('SIGKILL')
  const lock = await acquired
  await lock.release()
  await (await acquireFileLock(path)).release()
})

t.test('versions of Go are compared as numbers', async (t) => {
  t.ok(isAtLeast('go1.26.8', '1.26.0'))
  t.ok(isAtLeast('go1.26.0', '1.26.0'))
  t.ok(isAtLeast('go1.30', '1.26.5'))
  t.ok(isAtLeast('go2.0.0', '1.26.0'))
  t.notOk(isAtLeast('go1.9.9', '1.26.0'))
  t.notOk(isAtLeast('go1.25.99', '1.26.0'))
  t.notOk(isAtLeast('go1.26rc1', '1.26.0'))
  t.notOk(isAtLeast('devel', '1.26.0'))
})

t.test('the key of the build changes with everything that decides it', async (t) => {
  const keys = [
    istioKey('x64', 'mod', 'sum'),
    istioKey('arm64', 'mod', 'sum'),
    istioKey('x64', 'mod2', 'sum'),
    istioKey('x64', 'mod', 'sum2'),
    istioKey('x64', 'mod', 'sum', oldestIstio),
  ]
  t.equal(new Set(keys).size, keys.length)
  t.equal(istioKey('x64', 'mod', 'sum'), keys[0])
  t.match(keys[0], /^istio-1\.29\.1-x64-[0-9a-f]{8}$/)
})

t.test('the cache is where the user keeps caches', async (t) => {
  t.equal(defaultCacheRoot({ XDG_CACHE_HOME: '/var/c' }), '/var/c/mooring/testbed')
  t.match(defaultCacheRoot({ XDG_CACHE_HOME: 'relative' }), /\.cache\/mooring\/testbed$/)
  t.match(defaultCacheRoot({}), /\.cache\/mooring\/testbed$/)
})

t.test('each missing program names its package once', async (t) => {
  const programs = { ip: 'iproute2', iptables: 'iptables', ip6tables: 'iptables', nft: 'nftables' }
  const find = async (program: string) => (program === 'nft' ? '/usr/sbin/nft' : undefined)
  t.same(await missingPackages(programs, find), ['iproute2', 'iptables'])
})

t.test('the folders of the system are on the path, once', async (t) => {
  const folders = fullPath('/opt/bin:/usr/bin').split(':')
  t.equal(folders[0], '/opt/bin')
  t.equal(folders.filter((folder) => folder === '/usr/bin').length, 1)
  t.ok(folders.includes('/usr/sbin'))
})
