import t from 'tap'
import { planSubscription } from '../../../../../controller/lcm/tacker/subscription.ts'

const ours = 'https://c.example:8443/v1/lcm/site-1/notifications/'
const callback = `${ours}3f9a`
const of = (id: string, callbackUri: string) => ({ id, callbackUri })
const theirs = of('x', 'https://nfvo.example/callback')

t.test('none of ours: one is made, and others are left alone', async (t) => {
  t.same(planSubscription([], { callback, ours }), { create: true, remove: [] })
  t.same(planSubscription([theirs], { callback, ours }), { create: true, remove: [] })
})

t.test('one of an earlier life, with another secret, gives way', async (t) => {
  const old = of('a', `${ours}0000`)
  t.same(planSubscription([old, theirs], { callback, ours }), { create: true, remove: ['a'] })
})

t.test('of several the same one stays, whoever looks', async (t) => {
  const [b, a] = [of('b', callback), of('a', callback)]
  const wanted = { keep: 'a', create: false, remove: ['b'] }
  t.same(planSubscription([b, a], { callback, ours }), wanted)
  t.same(planSubscription([a, b], { callback, ours }), wanted)
})

t.test('doing it leaves nothing to do', async (t) => {
  const { keep } = planSubscription([of('a', callback), theirs], { callback, ours })
  t.same(planSubscription([of(keep ?? '', callback), theirs], { callback, ours }), {
    keep: 'a',
    create: false,
    remove: [],
  })
})
