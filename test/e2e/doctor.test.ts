import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { tail } from '../world/member.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld } from '../world/world.ts'

interface Finding {
  readonly check: string
  readonly result: string
  readonly detail: string
  readonly code?: string
  readonly fix?: string
}

t.test('what render shows is what runs', async (t) => {
  const world = await createWorld({ name: 'render' })
  t.teardown(() => world.close())
  const member = await world.boot('shown', 'servers')
  const answer = await member.agent('render', '--json')
  t.equal(answer.code, 0, answer.stderr)
  const shown = JSON.parse(answer.stdout) as {
    files: { path: string; mode: string; content: string }[]
    sidecar: { command: string; args: string[]; env: Record<string, string> }
    capture: { command: string; args: string[] }
  }

  const pid = (await member.sidecar()).pilotAgent
  const words = async (file: string) =>
    (await readFile(`/proc/${pid}/${file}`, 'utf8')).split('\0').filter(Boolean)
  t.same(await words('cmdline'), [shown.sidecar.command, ...shown.sidecar.args])
  t.same(
    (await words('environ')).toSorted(),
    Object.entries(shown.sidecar.env)
      .map(([name, value]) => `${name}=${value}`)
      .toSorted(),
  )
  t.ok(shown.files.length > 1, `${shown.files.length} files`)
  for (const { path, mode, content } of shown.files) {
    t.equal(`0${((await stat(path)).mode & 0o777).toString(8)}`, mode, `mode of ${path}`)
    const written = await readFile(path, 'utf8')
    if (content === '***') t.equal(mode, '0600', 'a secret is masked, and for its reader alone')
    else t.equal(written, content, path)
  }
  const token = shown.files.find(({ path }) => path.endsWith('istio-token'))
  t.equal(token?.content, '***')

  await t.test('its rules are in force, and leave out what must never be captured', async (t) => {
    const rules = (await member.vm.exec('iptables-save', ['-t', 'nat'])).stdout
    t.match(rules, 'ISTIO_OUTPUT')
    const text = shown.capture.args.join(' ')
    for (const spared of ['22', '15020', '15021', '15090'])
      t.match(text, new RegExp(`\\b${spared}\\b`), spared)
    // Cloud metadata, and the controller.
    for (const spared of ['169.254.0.0/16', `${world.network.hostAddress}/32`]) {
      t.match(text, spared)
      t.match(rules, `-d ${spared} -j RETURN`, `${spared} is let be`)
    }
  })
})

t.test(
  'a port of the sidecar is taken: nothing is captured, and doctor names the port and who has it',
  async (t) => {
    const world = await createWorld({ name: 'port' })
    t.teardown(() => world.close())
    const member = await world.prepare('crowded', 'servers')
    const program = `require('node:net').createServer().listen(15001, '0.0.0.0', () => console.log('listens'))`
    const squatter = member.vm.spawn(process.execPath, ['-e', program], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await new Promise((resolve) => squatter.stdout?.once('data', resolve))
    await member.startApp()
    await member.startAgent()
    await waitFor(async () => (await readFile(member.agentLog, 'utf8')).includes('PORT_IN_USE'), {
      what: 'the agent to say that a port is taken',
      onTimeout: () => tail(member.agentLog),
    })
    const doctor = await member.agent('doctor', '--json')
    t.equal(doctor.code, 1)
    const found = (JSON.parse(doctor.stdout) as Finding[]).find(({ code }) => code === 'PORT_IN_USE')
    t.match(found?.detail, /15001 by /, 'and who has it')
    t.ok(found?.fix)
    const rules = await member.vm.exec('iptables-save', ['-t', 'nat'])
    t.notMatch(rules.stdout, 'ISTIO', 'nothing is captured meanwhile')

    squatter.kill('SIGKILL')
    await waitFor(
      async () => {
        const { stdout } = await member.agent('doctor', '--json')
        return !stdout.includes('PORT_IN_USE')
      },
      { what: 'doctor to see that the port is free' },
    )
    t.equal(
      await stat(join(member.vm.root, 'var/lib/mooring/state.json')).then(({ mode }) => mode & 0o777),
      0o600,
    )
  },
)
