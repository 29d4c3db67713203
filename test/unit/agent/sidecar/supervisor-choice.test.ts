import t from 'tap'
import { chooseSupervisor, type SupervisorWish } from '../../../../agent/sidecar/supervisor-choice.ts'

const booted = '/run/systemd/system'
const unit = '/usr/lib/systemd/system/mooring-sidecar.service'

const choose = (there: readonly string[], wish: Partial<SupervisorWish> = {}) =>
  chooseSupervisor({
    wanted: undefined,
    root: '/',
    state: '/var/lib/mooring',
    exists: async (path) => there.includes(path),
    ...wish,
  })

t.test('systemd runs the sidecar where it runs and the unit is installed', async (t) => {
  t.equal(await choose([booted, unit]), 'systemd')
  t.equal(await choose([booted, '/etc/systemd/system/mooring-sidecar.service']), 'systemd')
  t.equal(await choose([booted]), 'process')
  t.equal(await choose([unit]), 'process')
  t.equal(await choose([booted, unit], { state: '/srv/mooring' }), 'process')
  t.equal(await choose([booted, unit], { root: '/vm' }), 'process')
})

t.test('a wish is followed, or refused with the reason', async (t) => {
  t.equal(await choose([booted, unit], { wanted: 'process' }), 'process')
  t.equal(await choose([booted, unit], { wanted: 'systemd' }), 'systemd')
  const refused = (there: readonly string[], detail: RegExp, more: Partial<SupervisorWish> = {}) =>
    t.rejects(choose(there, { wanted: 'systemd', ...more }), { code: 'CONFIG_INVALID', detail })
  await refused([], /not booted by systemd/)
  await refused([booted], /not installed/)
  await refused([booted, unit], /state/, { state: '/srv' })
})
