import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { sceneLine } from '../world/scene.ts'

const project = resolve(import.meta.dirname, '../..')

t.test('the demo keeps what it promises, says so by its exit code, and leaves nothing', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-demo-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const json = join(dir, 'figures.json')
  const before = await namespaces()
  const child = spawn(process.execPath, [join(project, 'demo/main.ts'), '--once', '--json', json], {
    cwd: project,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGTERM'))
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  const code = await new Promise((done) => child.once('close', done))
  t.equal(code, 0, code === 0 ? 'it ends well' : said.slice(-4_000))
  const { ok, promises, scaleIn, traffic } = JSON.parse(await readFile(json, 'utf8')) as Figures
  t.equal(ok, true)
  t.ok(promises.length > 0 && promises.every(({ kept }) => kept), `${promises.length} promises`)
  t.equal(scaleIn.failed, 0, 'no request failed when a VM left under load')
  t.match(traffic.caller, /^spiffe:/)
  t.equal(traffic.plainText.refused, true)
  t.same(
    (await namespaces()).filter((name) => !before.includes(name) && name.includes('demo')),
    [],
    'no namespace is left',
  )
  t.comment(sceneLine('demo', scaleIn))
})

interface Figures {
  readonly ok: boolean
  readonly promises: readonly { readonly kept: boolean }[]
  readonly scaleIn: { readonly requests: number; readonly failed: number }
  readonly traffic: { readonly caller: string; readonly plainText: { readonly refused: boolean } }
}

async function namespaces(): Promise<readonly string[]> {
  return readdir('/run/netns').catch(() => [])
}
