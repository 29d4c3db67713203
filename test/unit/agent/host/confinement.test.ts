import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readConfinement } from '../../../../agent/host/confinement.ts'

async function machine(t: Test, files: Readonly<Record<string, string>>) {
  const root = await mkdtemp(join(tmpdir(), 'mooring-confinement-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(root, path, '..'), { recursive: true })
    await writeFile(join(root, path), text)
  }
  return readConfinement(join(root, 'proc'), join(root, 'sys'))
}

t.test('nothing confines a process where no module is in force', async (t) => {
  t.same(await machine(t, {}), {})
  t.same(await machine(t, { 'proc/self/attr/current': 'unconfined\n' }), {})
  t.same(await machine(t, { 'proc/self/attr/current': 'agent (complain)\n' }), {})
  const permissive = { 'sys/fs/selinux/enforce': '0', 'proc/self/attr/current': 'a:b:c:s0\0' }
  t.same(await machine(t, permissive), {})
})

t.test('SELinux by the context of the process, AppArmor by its profile', async (t) => {
  const selinux = { 'sys/fs/selinux/enforce': '1', 'proc/self/attr/current': 'a:b:c:s0\0' }
  t.same(await machine(t, selinux), { selinux: 'a:b:c:s0' })
  t.same(await machine(t, { 'sys/fs/selinux/enforce': '1\n' }), { selinux: 'of an unknown context' })
  t.same(await machine(t, { 'proc/self/attr/current': '/usr/bin/x (enforce)\n' }), { apparmor: '/usr/bin/x' })
  t.same(await machine(t, { 'proc/self/attr/apparmor/current': 'x (enforce)\n' }), { apparmor: 'x' })
})
