import { readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { createCommandLine } from '../command-line.ts'
import { me } from '../samples.ts'
import { createStandIn, refuse } from '../stand-in.ts'

const code = 'one-time-code-0123456789'

t.test('the first administrator enrols by pin, is remembered, and needs nothing more', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('POST /v1/enrol', ({ body }) => ({
    ...me,
    name: (body as { name: string }).name,
    token: 'fresh-token-1',
  }))
  standIn.on('GET /v1/whoami', ({ authorization }) =>
    authorization === 'Bearer fresh-token-1' ? me : refuse('UNAUTHENTICATED'),
  )
  const line = createCommandLine(t)
  const login = await line.run(
    'login',
    '--server',
    standIn.url,
    '--pin',
    standIn.authority.pin,
    '--enrol',
    code,
    '--name',
    'ada',
  )
  t.equal(login.code, 0, login.err)
  t.match(login.out, /Logged in to https:\/\/127\.0\.0\.1:\d+ as ada \(admin of all pools\)/)
  t.equal(standIn.seen[0]?.authorization, undefined)
  const file = path.join(line.home, '.config/mooring/config.json')
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.match(await readFile(file, 'utf8'), /fresh-token-1/)
  const whoami = await line.run('whoami', '--json')
  t.same(JSON.parse(whoami.out), me)
  for (const { out, err } of [login, whoami]) t.notMatch(out + err, /fresh-token-1/, 'the token is not shown')
})

t.test('code and token may come by standard input, which no list of processes shows', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('POST /v1/enrol', ({ body }) => ({
    ...me,
    token: `token-for-${(body as { code: string }).code}`,
  }))
  standIn.on('GET /v1/whoami', () => me)
  const enrolling = createCommandLine(t, { input: `${code}\n` })
  const trust = ['login', '--server', standIn.url, '--ca', standIn.caFile]
  t.equal((await enrolling.run(...trust, '--enrol', '-', '--name', 'ada')).code, 0)
  t.match(standIn.seen[0]?.body, { code, name: 'ada' })
  const holding = createCommandLine(t, { input: 'given-token-1\n' })
  t.equal((await holding.run(...trust, '--token-file', '-')).code, 0)
  t.equal(standIn.seen.at(-1)?.authorization, 'Bearer given-token-1')
})

t.test('several controllers are told apart by context', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('GET /v1/whoami', ({ authorization }) => ({ ...me, name: String(authorization).slice(-1) }))
  const line = createCommandLine(t)
  for (const name of ['a', 'b']) {
    const file = path.join(t.testdirName, name)
    await writeFile(file, `operator-${name}`)
    const { code } = await line.run(
      'login',
      '--context',
      name,
      '--server',
      standIn.url,
      '--ca',
      standIn.caFile,
      '--token-file',
      file,
    )
    t.equal(code, 0)
  }
  t.match((await line.run('whoami')).out, /^b /, 'the last login is current')
  t.match((await line.run('whoami', '--context', 'a')).out, /^a /)
})

t.test('a login that fails changes nothing', async (t) => {
  const standIn = await createStandIn(t)
  standIn.on('POST /v1/enrol', () => refuse('ENROLMENT_INVALID'))
  const line = createCommandLine(t)
  const trust = ['login', '--server', standIn.url]
  const enrol = ['--enrol', code, '--name', 'ada']
  const cases: [string[], number, RegExp][] = [
    [[...trust, '--ca', standIn.caFile, ...enrol], 3, /error ENROLMENT_INVALID/],
    [[...trust, '--pin', `sha256:${'0'.repeat(64)}`, ...enrol], 4, /error CONTROLLER_UNTRUSTED/],
    [[...trust, ...enrol], 2, /--ca FILE or --pin/],
    [[...trust, '--ca', standIn.caFile], 2, /say one of --enrol/],
    [[...trust, '--ca', standIn.caFile, '--enrol', code], 2, /needs --name/],
    [['login', '--server', 'http://c', '--ca', standIn.caFile, ...enrol], 2, /no controller's address/],
    [
      ['login', '--server', 'https://127.0.0.1:1', '--pin', standIn.authority.pin, ...enrol],
      4,
      /nothing listens there/,
    ],
  ]
  for (const [argv, exit, text] of cases) {
    const { code, err } = await line.run(...argv)
    t.equal(code, exit, err)
    t.match(err, text)
  }
  await t.rejects(stat(path.join(line.home, '.config/mooring/config.json')), { code: 'ENOENT' })
  t.equal(standIn.seen.length, 1, 'only the first was sent')
})

t.test('a token that somebody renews is read anew each time, and not remembered', async (t) => {
  const standIn = await createStandIn(t)
  const account = {
    name: 'kubernetes:system:serviceaccount:ops:deployer',
    by: 'kubernetes',
    groups: ['system:serviceaccounts'],
  }
  standIn.on('GET /v1/whoami', () => account)
  const line = createCommandLine(t)
  const trust = ['login', '--server', standIn.url, '--ca', standIn.caFile]
  const file = path.join(t.testdirName, 'token')
  await writeFile(file, 'first-token\n')
  const login = await line.run(...trust, '--token-path', file)
  t.match(
    login.out,
    /as kubernetes:system:serviceaccount:ops:deployer \(as the cluster allows\)\.$/m,
    login.err,
  )
  t.notMatch(await readFile(path.join(line.home, '.config/mooring/config.json'), 'utf8'), 'first-token')
  await writeFile(file, 'second-token\n')
  t.equal((await line.run('whoami')).code, 0)
  t.same(
    standIn.seen.map(({ authorization }) => authorization),
    ['Bearer first-token', 'Bearer second-token'],
  )
  const config = path.join(t.testdirName, 'kubeconfig')
  const user = { name: 'me', user: { token: 'third-token' } }
  const context = { name: 'here', context: { user: 'me' } }
  await writeFile(config, JSON.stringify({ users: [user], contexts: [context] }))
  t.equal((await line.run(...trust, '--kubeconfig', config, '--kube-context', 'here')).code, 0)
  t.equal(standIn.seen.at(-1)?.authorization, 'Bearer third-token')
  const both = await line.run(...trust, '--kubeconfig', config, '--token-path', file)
  t.match(both, { code: 2, err: /say one of/ })
})
