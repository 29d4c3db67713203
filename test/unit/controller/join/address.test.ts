import fc from 'fast-check'
import t from 'tap'
import {
  canonicalAddress,
  chooseAddress,
  isCidr,
  isInside,
  isUnusable,
} from '../../../../controller/join/address.ts'
import type { Nic } from '../../../../shared/api/join.ts'
import type { PoolSpec } from '../../../../shared/api/operator.ts'

t.test('one spelling per address', async (t) => {
  t.equal(canonicalAddress('10.0.0.1'), '10.0.0.1')
  t.equal(canonicalAddress('::ffff:10.0.0.1'), '10.0.0.1')
  t.equal(canonicalAddress('::FFFF:a00:1'), '10.0.0.1')
  t.equal(canonicalAddress('2001:DB8:0:0::1'), '2001:db8::1')
  t.equal(canonicalAddress('fe80::1%eth0'), 'fe80::1')
  for (const text of ['', 'x', '10.0.0', '10.0.0.256', '1::2::3', '::ffff:10.0.0.999', '010.0.0.1']) {
    t.equal(canonicalAddress(text), undefined, text)
  }
})

t.test('spelling an address canonically twice changes nothing', async (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const once = canonicalAddress(text)
      return once !== undefined && canonicalAddress(once) === once
    }),
  )
  t.pass('idempotent')
})

t.test('CIDRs', async (t) => {
  for (const text of ['10.0.0.0/8', '10.0.0.1/32', '0.0.0.0/0', '::/0', 'fd00::/8', '::1/128']) {
    t.ok(isCidr(text), text)
  }
  for (const text of [
    '10.0.0.0',
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0/8',
    '10.0.0.0/8/8',
    'x/8',
    '10.0.0.0/-1',
  ]) {
    t.notOk(isCidr(text), text)
  }
})

t.test('inside means inside, per family', async (t) => {
  t.ok(isInside('10.1.2.3', ['192.168.0.0/16', '10.0.0.0/8']))
  t.notOk(isInside('11.0.0.1', ['10.0.0.0/8']))
  t.ok(isInside('fd00::5', ['fd00::/8']))
  t.notOk(isInside('10.0.0.1', ['::/0']), 'IPv4 is not in the whole of IPv6')
  t.notOk(isInside('10.0.0.1', []), 'no CIDR lets nobody in')
  t.notOk(isInside('10.0.0.1', ['nonsense/8', '10.0.0.0/99']))
  t.notOk(isInside('', ['0.0.0.0/0']))
})

t.test('addresses that name nobody', async (t) => {
  for (const address of [
    '127.0.0.1',
    '127.8.8.8',
    '169.254.169.254',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'ff02::1',
  ]) {
    t.ok(isUnusable(address), address)
  }
  for (const address of ['10.0.0.1', '192.168.1.1', '8.8.8.8', 'fd00::1', '2001:db8::1']) {
    t.notOk(isUnusable(address), address)
  }
})

const nics: readonly Nic[] = [
  { interface: 'lo', address: '127.0.0.1', prefix: 8 },
  { interface: 'eth0', address: '10.0.0.5', prefix: 24 },
  { interface: 'eth1', address: '10.1.0.5', prefix: 24 },
  { interface: 'eth1', address: 'fe80::5', prefix: 64 },
  { interface: 'eth2', address: '10.2.0.5', prefix: 24 },
  { interface: 'eth2', address: '10.2.0.6', prefix: 24 },
]
type Rule = PoolSpec['address']
const ask = (address: Rule, peer = '10.0.0.5', claimed: readonly Nic[] = nics, cidrs = ['10.0.0.0/8']) =>
  chooseAddress({
    spec: { join: { methods: ['token'], cidrs }, ...(address && { address }) },
    peer,
    nics: claimed,
  })

t.test('without a rule the connection says the address, whatever the joiner says', async (t) => {
  t.same(ask(undefined), { address: '10.0.0.5' })
  t.same(ask(undefined, '10.9.9.9'), { address: '10.9.9.9' })
  t.same(ask({ network: 'services' }, '10.9.9.9'), { address: '10.9.9.9' })
  for (const peer of ['127.0.0.1', '169.254.1.1', 'fe80::1', '::1']) {
    t.match(ask(undefined, peer), { code: 'ADDRESS_NOT_ALLOWED' }, peer)
  }
})

t.test('by interface, by CIDR, by both', async (t) => {
  t.same(ask({ interface: 'eth1' }), { address: '10.1.0.5' })
  t.same(ask({ cidr: '10.1.0.0/16' }), { address: '10.1.0.5' })
  t.same(ask({ interface: 'eth1', cidr: '10.1.0.0/16' }), { address: '10.1.0.5' })
})

t.test('what no rule describes is not chosen, and the addresses are listed', async (t) => {
  t.match(ask({ interface: 'eth9' }), { code: 'ADDRESS_NOT_CHOSEN', detail: /eth0 10\.0\.0\.5/ })
  t.match(ask({ interface: 'eth0', cidr: '10.1.0.0/16' }), { code: 'ADDRESS_NOT_CHOSEN' })
  t.match(ask({ cidr: '10.1.0.0/16' }, '10.0.0.5', []), { code: 'ADDRESS_NOT_CHOSEN', detail: /none/ })
})

t.test('several are not guessed among, unless one of them is the connection itself', async (t) => {
  t.match(ask({ interface: 'eth2' }), { code: 'ADDRESS_NOT_CHOSEN', detail: /10\.2\.0\.5, 10\.2\.0\.6/ })
  t.same(ask({ interface: 'eth2' }, '10.2.0.6'), { address: '10.2.0.6' })
})

t.test('an interface alone does not lead out of the networks that may join', async (t) => {
  const outside = [{ interface: 'eth1', address: '8.8.8.8', prefix: 24 }]
  t.match(ask({ interface: 'eth1' }, '10.0.0.5', outside), { code: 'ADDRESS_NOT_CHOSEN' })
})

t.test('no claim makes an address that names nobody, or lies outside the rule', async (t) => {
  const anyNic = fc.record({
    interface: fc.constantFrom('eth0', 'eth1', 'lo'),
    address: fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom('127.0.0.1', '169.254.169.254', '::ffff:127.0.0.1'),
    ),
    prefix: fc.nat(32),
  })
  fc.assert(
    fc.property(fc.array(anyNic, { maxLength: 6 }), fc.ipV4(), (claimed, peer) => {
      const choice = ask({ cidr: '0.0.0.0/1' }, peer, claimed)
      if (!('address' in choice)) return true
      return !isUnusable(choice.address) && isInside(choice.address, ['0.0.0.0/1'])
    }),
  )
  t.pass('held for every claim')
})
