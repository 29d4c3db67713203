import t from 'tap'
import { parseForwardedCert } from '../../../demo/forwarded-cert.ts'

t.test('who called and who was called', async (t) => {
  const header =
    'By=spiffe://cluster.local/ns/default/sa/echo;Hash=0a1b;Subject="";URI=spiffe://cluster.local/ns/default/sa/caller'
  t.same(parseForwardedCert(header), {
    caller: 'spiffe://cluster.local/ns/default/sa/caller',
    server: 'spiffe://cluster.local/ns/default/sa/echo',
  })
  for (const nothing of [null, '', 'Subject="URI=spiffe://liar"'])
    t.same(parseForwardedCert(nothing), { caller: null, server: null }, String(nothing))
})
