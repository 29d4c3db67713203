import { existsSync, realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t from 'tap'
import { supervisorKinds } from '../../../agent/sidecar/supervisor-choice.ts'
import { createContainer } from '../../testbed/machines/container.ts'
import { ensureMachineParts } from '../../testbed/machines/parts.ts'
import { createNetwork } from '../../testbed/network/network.ts'
import { silentProgress } from '../../testbed/progress.ts'

const project = resolve(import.meta.dirname, '../../..')
const cases = join(import.meta.dirname, 'supervisor-cases.ts')
const libatomic = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/libatomic.so.1`
const unit = 'mooring-sidecar.service'

t.test('both supervisors keep the same promises', async (t) => {
  const { image } = await ensureMachineParts({ progress: silentProgress })
  const network = await createNetwork({ name: 'supervisors' })
  t.teardown(() => network.close())
  const shares = [
    { from: project, at: project },
    // Of the runtime; the machine has no other use for it.
    ...(existsSync(libatomic) ? [{ from: realpathSync(libatomic), at: libatomic }] : []),
  ]
  const box = await createContainer({ network, name: 'box', image, shares })
  await box.powerOn()
  await box.booted()
  const run = async (command: string, args: readonly string[], input?: string) => {
    const result = await box.exec(command, args, input === undefined ? {} : { input })
    if (result.code !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr || result.stdout}`)
  }
  await run('groupadd', ['--gid', '1337', 'istio-proxy'])
  await run('useradd', ['--uid', '1337', '--gid', '1337', '--no-create-home', 'istio-proxy'])
  await run(
    'tee',
    [`/etc/systemd/system/${unit}`],
    await readFile(join(project, 'packaging/systemd', unit), 'utf8'),
  )
  await run('systemctl', ['daemon-reload'])

  for (const kind of supervisorKinds)
    await t.test(kind, async (t) => {
      const { code, stdout, stderr } = await box.exec(process.execPath, [cases, kind], {
        timeoutMs: 400_000,
        env: { TAP_TIMEOUT: '380' },
      })
      if (code !== 0) t.comment(`${stdout}\n${stderr}`.slice(-8_000))
      t.equal(code, 0, 'every case')
      t.match(stdout, /^# \{ total: \d+, pass: \d+ \}$/m, 'and all of them were tried')
    })
})
