import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { createOperators } from '../../../controller/auth/operators.ts'
import { openDatabase } from '../../../controller/store/database.ts'
import { createSqliteStore } from '../../../controller/store/sqlite.ts'
import { systemClock } from '../../../shared/clock.ts'
import { silentLog } from '../../../shared/log.ts'

const project = resolve(import.meta.dirname, '../../..')

function run(args: readonly string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number | null; out: string; err: string }>((done, fail) => {
    const child = spawn(process.execPath, [join(project, 'controller/main.ts'), ...args], {
      env: { PATH: process.env.PATH ?? '', ...env },
    })
    let [out, err] = ['', '']
    child.stdout.on('data', (data: Buffer) => {
      out += data.toString()
    })
    child.stderr.on('data', (data: Buffer) => {
      err += data.toString()
    })
    child.on('error', fail)
    child.on('close', (code) => done({ code, out, err }))
  })
}

function setUp(t: { teardown(fn: () => void): void }) {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-main-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'controller.yaml')
  const dataDir = join(folder, 'data')
  writeFileSync(file, `dataDir: ${dataDir}\nmesh: {istiod: {binary: /no/such/istiod}}\n`)
  return { folder, file, dataDir }
}

t.test('version, help and the description of the interface need nothing', async (t) => {
  const [version, help, openapi] = await Promise.all([run(['version']), run(['help']), run(['openapi'])])
  t.same([version.code, version.out], [0, '0.1.0\n'])
  t.equal(help.code, 0)
  t.match(help.out, 'mooring-controller run')
  t.equal(openapi.out, readFileSync(join(project, 'docs/openapi.json'), 'utf8'))
  t.equal(openapi.err, '')
})

t.test('a wrong command line or configuration is exit 2, and says what to do', async (t) => {
  const { folder, file } = setUp(t)
  const nonsense = await run(['rum'])
  t.equal(nonsense.code, 2)
  t.match(nonsense.err, 'no command rum')
  writeFileSync(join(folder, 'wrong.yaml'), 'listen: x')
  const wrong = await run(['run', '--config', join(folder, 'wrong.yaml')])
  t.equal(wrong.code, 2)
  t.match(wrong.err, 'listen must match')
  const noIstiod = await run(['run', '--config', file])
  t.equal(noIstiod.code, 2)
  t.match(noIstiod.err, '/no/such/istiod')
})

t.test('the pin is the same each time, and the code of enrol works', async (t) => {
  const { file, dataDir } = setUp(t)
  const first = await run(['pin', '--config', file])
  t.equal(first.code, 0)
  t.match(first.out, /^pin sha256:[0-9a-f]{64}\nca .*\/ca\.pem\n$/)
  const json = JSON.parse((await run(['pin', '--config', file, '--json'])).out)
  t.equal(`pin ${json.pin}\nca ${json.caFile}\n`, first.out)

  const enrolled = await run(['enrol', '--config', file, '--json'])
  t.equal(enrolled.code, 0, enrolled.err)
  const { enrolment } = JSON.parse(enrolled.out)
  const store = createSqliteStore({
    database: openDatabase({ file: join(dataDir, 'controller.sqlite') }),
    log: silentLog,
  })
  t.teardown(() => store.close())
  t.match(await createOperators({ store, clock: systemClock }).enrol(enrolment, 'ada'), { role: 'admin' })
})

t.test('a damaged database is exit 3, and stays as it is', async (t) => {
  const { file, dataDir } = setUp(t)
  await run(['pin', '--config', file])
  writeFileSync(join(dataDir, 'controller.sqlite'), 'precious '.repeat(1000))
  const damaged = await run(['run', '--config', file])
  t.equal(damaged.code, 3)
  t.match(damaged.err, 'controller.sqlite')
  t.match(readFileSync(join(dataDir, 'controller.sqlite'), 'utf8'), /^precious/)
})

t.test('it waits for the API server of its cluster, and stops when it is told to', async (t) => {
  const { folder, dataDir } = setUp(t)
  const kubeconfig = join(folder, 'kubeconfig')
  const tree = {
    clusters: [{ name: 'a', cluster: { server: 'https://127.0.0.1:1' } }],
    users: [{ name: 'u', user: { token: 'of-nobody-else' } }],
    contexts: [{ name: 'c', context: { cluster: 'a', user: 'u', namespace: 'mooring-system' } }],
    'current-context': 'c',
  }
  writeFileSync(kubeconfig, JSON.stringify(tree))
  const child = spawn(process.execPath, [join(project, 'controller/main.ts'), 'run'], {
    env: {
      PATH: process.env.PATH ?? '',
      MOORING_DATA_DIR: dataDir,
      MOORING_MESH_MODE: 'kubernetes',
      MOORING_MESH_KUBERNETES_KUBECONFIG: kubeconfig,
    },
  })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  await new Promise<void>((waits) => {
    child.stderr.on('data', (data: Buffer) => {
      said += data.toString()
      if (said.includes('list pools.mesh.mooring: ECONNREFUSED')) waits()
    })
  })
  child.kill('SIGTERM')
  const code = await new Promise((done) => child.once('close', done))
  t.equal(code, 0, said)
  t.notMatch(said, 'of-nobody-else')
})

t.test('a kill point that is none is refused', async (t) => {
  const { file } = setUp(t)
  const { code, err } = await run(['run', '--config', file], { MOORING_TEST_KILL_AFTER: 'nothing' })
  t.equal(code, 2)
  t.match(err, 'no effect nothing')
})
