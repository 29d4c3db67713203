import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { mustRun } from '../../testbed/command.ts'
import { type Disk, makeDisk } from '../../testbed/machines/disk.ts'
import { ensureDisk, ensureMachineParts } from '../../testbed/machines/parts.ts'
import { type Progress, silentProgress } from '../../testbed/progress.ts'
import type { World } from '../../world/world.ts'
import { arch, makeAgentPackage } from './agent-package.ts'

const project = resolve(import.meta.dirname, '../../..')
const appServer = join(project, 'test/testbed/apps/app-server.ts')
const libatomic = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/libatomic.so.1`

/** An application as anybody would write it: enabled in the image, and knows nothing of the mesh. */
const application = `[Unit]
Description=An application
# It gives the machine its name.
After=cloud-init.service
[Service]
ExecStart=/bin/sh -c 'exec /opt/app/node /opt/app/server.mjs --name "$(hostname)" --bind 0.0.0.0'
Environment=LD_LIBRARY_PATH=/opt/app
[Install]
WantedBy=multi-user.target
`

/**
 * Makes the disk of emulated machines by the recipe that users have: Debian, the agent's package, an application, and the
 * sidecar that the world's controller offers, because to fetch and unpack it costs an emulated processor minutes. It says
 * nothing of a controller. The kernel is that of the testbed's own disk.
 */
export async function makeAgentDisk(
  world: Pick<World, 'network' | 'sidecar'>,
  progress: Progress = silentProgress,
): Promise<Disk> {
  const dir = join(world.network.tempDir, 'emulated-disk')
  await mkdir(dir)
  const kernel = await ensureDisk({ progress })
  const { image } = await ensureMachineParts({ progress })
  const agent = await makeAgentPackage(dir)
  const sidecar = join(dir, `sidecar-${world.sidecar.version}-${arch}.tar.gz`)
  await symlink(world.sidecar.path, sidecar)
  const layers = [await applicationLayer(join(dir, 'application')), ...image.layers]
  const step = progress.start('a disk with the agent')
  try {
    const disk = await makeDisk({ image: { layers }, dir, agent, sidecar, kernel, step })
    step.done()
    return disk
  } catch (error) {
    step.failed()
    throw error
  }
}

async function applicationLayer(root: string): Promise<string> {
  const [app, units] = [join(root, 'opt/app'), join(root, 'etc/systemd/system')]
  const wanted = join(units, 'multi-user.target.wants')
  await mkdir(app, { recursive: true })
  await mkdir(wanted, { recursive: true })
  // One file without types: to take them off at every start is work that an emulated processor feels.
  const bun = join(project, 'node_modules/.bin/bun')
  const bundle = ['build', appServer, '--target', 'node', '--outfile', join(app, 'server.mjs')]
  await mustRun(bun, bundle, { timeoutMs: 120_000 })
  await copyFile(process.execPath, join(app, 'node'))
  await chmod(join(app, 'node'), 0o755)
  if (existsSync(libatomic)) await copyFile(libatomic, join(app, 'libatomic.so.1'))
  await writeFile(join(units, 'app.service'), application)
  await symlink('../app.service', join(wanted, 'app.service'))
  return root
}
