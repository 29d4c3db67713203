import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t from 'tap'
import type { DemoFigures } from '../../../demo/figures.ts'
import type { Promised } from '../../../demo/promises.ts'
import { sceneLine } from '../../world/scene.ts'

const project = resolve(import.meta.dirname, '../../..')
t.setTimeout(14 * 60_000)

t.test(
  'the demo in a cluster keeps what it promises, with a pod as the client, and leaves nothing',
  async (t) => {
    const json = join(t.testdir({}), 'figures.json')
    const before = await namespaces()
    const args = [join(project, 'demo/main.ts'), '--mesh', 'kubernetes', '--once', '--json', json]
    const child = spawn(process.execPath, args, { cwd: project, stdio: ['ignore', 'pipe', 'pipe'] })
    t.teardown(() => child.kill('SIGTERM'))
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
    const code = await new Promise((done) => child.once('close', done))
    t.equal(code, 0, code === 0 ? 'it ends well' : said.slice(-4_000))
    const { promises, ...figures } = JSON.parse(await readFile(json, 'utf8')) as DemoFigures & {
      readonly promises: readonly Promised[]
    }
    t.same(
      promises.filter(({ kept }) => !kept),
      [],
    )
    t.match(figures, { client: 'pod', scaleIn: { failed: 0 }, traffic: { plainText: { refused: true } } })
    t.match(figures.traffic?.caller, /^spiffe:/)
    t.same(
      (await namespaces()).filter((name) => !before.includes(name) && name.includes('demo')),
      [],
      'no namespace is left',
    )
    if (figures.scaleIn !== undefined) t.comment(sceneLine('demo-kubernetes', figures.scaleIn))
  },
)

async function namespaces(): Promise<readonly string[]> {
  return readdir('/run/netns').catch(() => [])
}
