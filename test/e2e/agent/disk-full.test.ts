import { fileURLToPath } from 'node:url'
import t from 'tap'
import { bakeSidecar } from '../../testbed/bake.ts'
import { mustRun } from '../../testbed/command.ts'
import { ensureParts } from '../../testbed/parts/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'

t.setTimeout(15 * 60_000)
const program = fileURLToPath(new URL('disk-full-process.ts', import.meta.url))

t.test('a full disk is said, leaves the old as it was, and is over when there is room', async (t) => {
  const baked = await bakeSidecar({ parts: await ensureParts({ progress: silentProgress }) })
  const args = [program, t.testdir(), baked.path, baked.sha256, String(baked.size)]
  const { stdout } = await mustRun('unshare', ['--mount', process.execPath, ...args], { timeoutMs: 120_000 })
  t.same(JSON.parse(stdout), {
    download: 'DISK_FULL',
    downloadLeft: [],
    unpack: 'DISK_FULL',
    versionsLeft: [],
    files: 'DISK_FULL',
    rootCertificate: 'ROOT',
    state: 'DISK_FULL',
    stateContent: 'old',
    names: ['fill', 'sidecar', 'state.json'],
    filesLater: 'done',
    unpackLater: 'done',
  })
})
