import t from 'tap'
import { reloadReport } from '../../../../../controller/mesh/standalone/reload-report.ts'

const trigger = '2026-11-21T12:36:12.347029Z\tinfo\tTriggering reload of file configuration'
const failure =
  '2026-11-21T12:36:12.347100Z\twarn\tFailed to parse /d/config/objects/x.yaml: cannot parse proto message: yaml: line 1'

t.test('a refused file is named until a reload goes well', async (t) => {
  const report = reloadReport()
  t.equal(report.line(trigger), undefined)
  t.equal(report.rejected(), undefined)
  const refusal = {
    file: '/d/config/objects/x.yaml',
    why: 'cannot parse proto message: yaml: line 1',
  }
  t.same(report.line(failure), refusal)
  t.same(report.rejected(), refusal)
  t.equal(report.line('2026\tinfo\tads\tPush debounce stable'), undefined)
  t.same(report.rejected(), refusal)
  report.line(trigger)
  t.equal(report.rejected(), undefined)
  report.line(failure)
  report.begin()
  t.equal(report.rejected(), undefined, 'another istiod starts afresh')
})
