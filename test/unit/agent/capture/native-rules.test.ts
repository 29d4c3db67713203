import t from 'tap'
import {
  beforeIstio,
  istioTables,
  nativeOlderScript,
  ownRulesIn,
  removalOf,
} from '../../../../agent/capture/native-rules.ts'
import { chooseVariant, type SavedRules } from '../../../../agent/capture/saved-rules.ts'

// As `nft --stateless list table` prints it.
const table = (name: string, rule: string) => `table inet ${name} {
\tchain prerouting {
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\t${rule}
\t}
}
`
const native = (text: string): SavedRules => ({ prefix: 'nft', variant: 'native', text })
const captured = native(
  table('istio-proxy-nat', 'meta l4proto tcp counter jump istio-inbound') +
    table('istio-proxy-raw', 'counter jump istio-inbound'),
)

t.test('only Istio’s tables are ours', async (t) => {
  const listed = 'table inet istio-proxy-nat\ntable ip nat\ntable inet filter\ntable ip istio-proxy-nat\n'
  t.same(istioTables(listed), ['istio-proxy-nat'])
  t.same(istioTables(''), [])
})

t.test('their rules are seen, and taken away with them', async (t) => {
  t.ok(ownRulesIn(captured, []).includes('meta l4proto tcp counter jump istio-inbound'))
  t.same(ownRulesIn(native(''), []), [])
  t.equal(removalOf(captured, []), 'delete table inet istio-proxy-nat\ndelete table inet istio-proxy-raw\n')
  t.equal(removalOf(native(''), []), undefined)
})

t.test('older connections are let be, once Istio’s table is there', async (t) => {
  t.equal(beforeIstio(captured), undefined)
  t.match(nativeOlderScript, /^insert rule inet istio-proxy-nat prerouting tcp flags .* != syn return/)
  t.match(beforeIstio({ prefix: 'iptables', variant: 'plain', text: '' }), /^\*nat\n-I PREROUTING/)
})

t.test('iptables is taken where there is any', async (t) => {
  const iptables = (variant: 'nft' | 'legacy' | 'plain'): SavedRules => ({
    prefix: 'iptables',
    variant,
    text: '',
  })
  t.equal(chooseVariant([native('')]), 'native')
  for (const variant of ['nft', 'legacy', 'plain'] as const)
    t.equal(chooseVariant([iptables(variant), native('')]), variant)
  t.equal(chooseVariant([]), 'plain', 'which fails, and says so')
})
