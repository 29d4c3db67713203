import t from 'tap'
import { parseUpdates } from '../../../world/watch/updates.ts'

t.test("istiod's updates of every kind are counted together", async (t) => {
  const text = `# TYPE pilot_inbound_updates counter
pilot_inbound_updates{type="config"} 12
pilot_inbound_updates{type="eds"} 1.5e+01
pilot_info{version="1.29.1"} 1
`
  t.equal(parseUpdates(text), 27)
  t.equal(parseUpdates(''), 0)
})
