import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { compileAgent } from '../../packaging/executable/compile.ts'
import { toolsFolder } from '../../packaging/tools/cache.ts'
import { createRuntimes, hostArchOf } from '../../packaging/tools/runtimes.ts'
import { runCommand } from '../testbed/command.ts'
import { emulators, provideForeignLibraries } from '../testbed/parts/foreign-libraries.ts'
import { createPartCache, defaultCacheRoot } from '../testbed/parts/part-cache.ts'
import { ensurePrograms } from '../testbed/parts/system-programs.ts'
import { silentProgress } from '../testbed/progress.ts'

const project = path.resolve(import.meta.dirname, '../..')
t.setTimeout(10 * 60_000)

t.test(
  'the executable for the other kind of machine starts there, as far as an emulator shows',
  async (t) => {
    const host = hostArchOf(process.arch)
    const other = host === 'amd64' ? 'arm64' : 'amd64'
    const cacheFolder = toolsFolder(process.env)
    const runtimes = createRuntimes({ project, cacheFolder, hostArch: process.arch })
    const folder = await mkdtemp(path.join(tmpdir(), 'mooring-foreign-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const executable = path.join(folder, 'mooring-agent')
    const target = `bun-linux-${other === 'amd64' ? 'x64' : other}`
    await compileAgent(executable, {
      ...{ project, bun: await runtimes.bun(host) },
      foreign: { target, runtime: await runtimes.bun(other) },
    })
    await ensurePrograms(
      { file: 'file', [emulators[other]]: 'qemu-user-static' },
      { progress: silentProgress },
    )
    const machine = { amd64: /ELF 64-bit LSB .*x86-64/, arm64: /ELF 64-bit LSB .*ARM aarch64/ }[other]
    t.match((await runCommand('file', ['--brief', executable])).stdout, machine)

    const cache = createPartCache({ root: defaultCacheRoot(process.env), progress: silentProgress })
    const libraries = await provideForeignLibraries(cache, other)
    const emulated = (...args: readonly string[]) =>
      runCommand(emulators[other], ['-L', libraries, executable, ...args], { timeoutMs: 120_000 })
    t.match(await emulated('version'), { code: 0, stdout: /^mooring-agent \d/ })
    const status = await emulated('status', '--root', folder)
    t.equal(status.code, 2)
    t.match(status.stderr, /NOT_CONFIGURED/, 'it reads files, and says what is wrong')
  },
)
