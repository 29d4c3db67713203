import t from 'tap'
import { Value } from 'typebox/value'
import { joinFacts, machineArch, nics } from '../../../../agent/host/facts.ts'
import { JoinFacts } from '../../../../shared/api/join.ts'

t.test('what is said at a join fits the wire', async (t) => {
  const facts = await joinFacts('1.2.3', 'boot')
  t.ok(Value.Check(JoinFacts, facts))
  t.match(facts, { agentVersion: '1.2.3', bootId: 'boot', arch: machineArch() })
  t.match(machineArch(), /^(amd64|arm64)$/)
})

t.test('addresses are those of the network, without loopback and zones', async (t) => {
  for (const { address } of nics()) {
    t.notMatch(address, /^127\.|^::1$|%/)
  }
  t.ok(nics().length <= 64)
})
