import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { mustRun, runCommand } from '../../testbed/command.ts'
import { overlayOptions } from '../../testbed/machines/container-command.ts'
import { ensureMachineParts } from '../../testbed/machines/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'

const recipes = fileURLToPath(new URL('../../../packaging/image-builder/', import.meta.url))
const { image } = await ensureMachineParts({ progress: silentProgress })

t.setTimeout(10 * 60_000)

// What the agent's package has that matters to whoever installs it into an image, and nothing else.
const configuration = 'controller: {}\n'
const control = `Package: mooring-agent
Version: 1
Architecture: all
Maintainer: Nobody <nobody@mooring.example>
Description: a stand-in for the agent's package
`
const postinst = `#!/bin/sh
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -x $policy ] || $policy mooring-agent start; then touch /started; fi
`

t.test(
  'agent.sh installs without starting, keeps the given configuration, and checks the digest',
  async (t) => {
    const { dir, deb, inRoot } = await openRoot(t)
    const config = join(dir, 'agent.yaml')
    await writeFile(config, 'pool: web\n')
    const sha256 = createHash('sha256')
      .update(await readFile(deb))
      .digest('hex')
    const agent = [
      `${recipes}agent.sh`,
      '--root',
      `${dir}/image`,
      '--deb',
      deb,
      '--config',
      config,
      '--sha256',
    ]
    const refused = await inRoot('bash', ...agent, '0'.repeat(64))
    t.not(refused.code, 0)
    t.equal(existsSync(join(dir, 'disk/etc/mooring')), false, 'nothing was done')

    const installed = await inRoot('bash', ...agent, sha256)
    t.equal(installed.code, 0, installed.stderr)
    const disk = join(dir, 'disk')
    t.equal(await readFile(join(disk, 'etc/mooring/agent.yaml'), 'utf8'), 'pool: web\n')
    t.ok(existsSync(join(disk, 'usr/bin/mooring-agent')))
    t.equal(existsSync(join(disk, 'started')), false)
    t.equal(existsSync(join(disk, 'usr/sbin/policy-rc.d')), false, 'and may be started from now on')

    await mkdir(join(disk, 'var/lib/mooring'))
    await writeFile(join(disk, 'var/lib/mooring/state.json'), '{}')
    t.not((await inRoot('bash', ...agent, sha256)).code, 0, 'an agent that ran here would be cloned')
    const sealed = await inRoot('bash', `${recipes}seal.sh`, '--root', `${dir}/image`)
    t.equal(sealed.code, 0, sealed.stderr)
    t.equal(existsSync(join(disk, 'var/lib/mooring/state.json')), false)
    t.equal(await readFile(join(disk, 'etc/machine-id'), 'utf8'), '')
    t.equal((await inRoot('bash', ...agent, sha256)).code, 0)
  },
)

t.test("the element's phases, in the order and the places of diskimage-builder", async (t) => {
  const { dir, deb, inRoot } = await openRoot(t)
  const root = `${dir}/image`
  const hooks = `${root}/tmp/in_target.d`
  const phases = `
    set -e
    mkdir -p ${hooks}
    cp -r ${recipes}elements/mooring-agent/*.d ${hooks}/
    export TMP_HOOKS_PATH=${hooks} ELEMENTS_PATH=/nowhere:${recipes}elements DIB_MOORING_AGENT_DEB=${deb}
    ${hooks}/extra-data.d/50-mooring-agent
    chroot ${root} /tmp/in_target.d/install.d/50-mooring-agent
    echo 0123 > ${root}/etc/machine-id
    chroot ${root} /tmp/in_target.d/finalise.d/90-mooring-agent`
  const made = await inRoot('sh', '-c', phases)
  t.equal(made.code, 0, made.stderr)
  t.equal(await readFile(join(dir, 'disk/etc/mooring/agent.yaml'), 'utf8'), configuration)
  t.equal(existsSync(join(dir, 'disk/started')), false)
  t.equal(await readFile(join(dir, 'disk/etc/machine-id'), 'utf8'), '')
})

t.test("Packer's script, in the machine that becomes the image", async (t) => {
  const { dir, deb, inRoot } = await openRoot(t)
  const script = `
    set -e
    cp ${deb} ${dir}/image/srv/agent.deb
    cp -r ${recipes} ${dir}/image/srv/recipe
    chroot ${dir}/image env MOORING_AGENT_DEB=/srv/agent.deb MOORING_RECIPE=/srv/recipe PATH=/usr/sbin:/usr/bin \
      bash /srv/recipe/packer/provision.sh`
  const made = await inRoot('sh', '-c', script)
  t.equal(made.code, 0, made.stderr)
  t.ok(existsSync(join(dir, 'disk/usr/bin/mooring-agent')))
  t.equal(await readFile(join(dir, 'disk/etc/machine-id'), 'utf8'), '')
})

/** A root that may be changed, and the stand-in package; commands see the root as `dir/root` and nobody else does. */
async function openRoot(t: Test) {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-image-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const overlay = { layers: image.layers, upper: `${dir}/disk`, work: `${dir}/work`, merged: `${dir}/image` }
  for (const each of [overlay.upper, overlay.work, overlay.merged]) await mkdir(each)
  const script = `mount -t overlay overlay -o "$1" "$2" && mount -t proc proc "$2/proc" || exit 125; shift 2; exec "$@"`
  const mounted = ['--mount', '--', 'sh', '-c', script, 'sh', overlayOptions(overlay), overlay.merged]
  return {
    dir,
    deb: await makePackage(join(dir, 'package')),
    inRoot: (...command: readonly string[]) =>
      runCommand('unshare', [...mounted, ...command], { timeoutMs: 120_000 }),
  }
}

async function makePackage(dir: string): Promise<string> {
  const files = {
    'DEBIAN/control': control,
    'DEBIAN/conffiles': '/etc/mooring/agent.yaml\n',
    'DEBIAN/postinst': postinst,
    'etc/mooring/agent.yaml': configuration,
    'usr/bin/mooring-agent': '#!/bin/sh\n',
  }
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(dir, name, '..'), { recursive: true })
    await writeFile(join(dir, name), text)
  }
  await chmod(join(dir, 'DEBIAN/postinst'), 0o755)
  await mustRun('dpkg-deb', ['--root-owner-group', '--build', dir, `${dir}.deb`])
  return `${dir}.deb`
}
