import t from 'tap'
import { explainDenial } from '../../../../agent/host/denial.ts'

t.test('a refusal of the kernel names the security module that is in force', async (t) => {
  const context = 'system_u:system_r:init_t:s0'
  t.equal(
    explainDenial('EACCES', { selinux: context }),
    `permission denied; SELinux enforces, and this process is ${context}: see ausearch -m avc -ts recent`,
  )
  t.match(
    explainDenial('EPERM', { apparmor: 'mooring-agent' }),
    /not permitted; the AppArmor profile mooring-agent/,
  )
  t.equal(explainDenial('EACCES', {}), 'permission denied')
  t.equal(
    explainDenial('EROFS', { selinux: context }),
    'the file system is read-only',
    'which no module is to blame for',
  )
})
