import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readMachineMark } from '../../../../agent/host/machine-mark.ts'

t.test('a machine is told by its machine-id and by cloud-init', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'mooring-mark-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  await mkdir(join(root, 'etc'))
  await mkdir(join(root, 'var/lib/cloud/data'), { recursive: true })
  const put = (id: string, instance: string) =>
    Promise.all([
      writeFile(join(root, 'etc/machine-id'), id),
      writeFile(join(root, 'var/lib/cloud/data/instance-id'), instance),
    ])
  t.same(await readMachineMark(root), {}, 'neither is there')

  const id = 'a'.repeat(32)
  await put(`${id}\n`, 'i-1\n')
  const mark = await readMachineMark(root)
  t.match(mark, { machineId: /^[0-9a-f]{64}$/, instanceId: 'i-1' })
  t.notMatch(mark.machineId, id, 'the id itself is kept to the machine')
  await put(`${'b'.repeat(32)}\n`, 'i-1\n')
  t.not((await readMachineMark(root)).machineId, mark.machineId)

  await put('uninitialized\n', 'iid-datasource-none\n')
  t.same(await readMachineMark(root), {}, 'a sealed image, and a boot at which cloud-init found nothing')
})
