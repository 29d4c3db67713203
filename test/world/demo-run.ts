import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Test } from 'tap'
import type { DemoFigures } from '../../demo/figures.ts'
import type { Promised } from '../../demo/promises.ts'
import { sceneLine } from './scene.ts'

const project = resolve(import.meta.dirname, '../..')

/**
 * Runs the demo to its end, and holds that it ended well, kept every promise and left no namespace; returns its figures.
 * `name` is that of the scene.
 */
export async function runDemo(t: Test, name: string, ...options: readonly string[]): Promise<DemoFigures> {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-demo-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const json = join(dir, 'figures.json')
  const before = await namespaces()
  const args = [join(project, 'demo/main.ts'), ...options, '--once', '--json', json]
  const child = spawn(process.execPath, args, { cwd: project, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGTERM'))
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  const code = await new Promise((done) => child.once('close', done))
  t.equal(code, 0, code === 0 ? 'it ends well' : said.slice(-4_000))
  const { ok, promises, ...figures } = JSON.parse(await readFile(json, 'utf8')) as DemoFigures & {
    readonly ok: boolean
    readonly promises: readonly Promised[]
  }
  t.equal(ok, true)
  t.ok(promises.length > 0 && promises.every(({ kept }) => kept), `${promises.length} promises`)
  t.match(figures, { scaleIn: { failed: 0 }, traffic: { caller: /^spiffe:/, plainText: { refused: true } } })
  t.same(
    (await namespaces()).filter((one) => !before.includes(one) && one.includes('demo')),
    [],
    'no namespace is left',
  )
  if (figures.scaleIn !== undefined) t.comment(sceneLine(name, figures.scaleIn))
  return figures
}

async function namespaces(): Promise<readonly string[]> {
  return readdir('/run/netns').catch(() => [])
}
