import t from 'tap'
import type { CaptureRules } from '../../../../agent/capture/rules.ts'
import { createEffects } from '../../../../agent/effects.ts'
import { createCaptureStep } from '../../../../agent/steps/capture.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { someBundle } from '../bundle.ts'

const { signal } = new AbortController()
const bundle = someBundle()

function world() {
  const clock = createFakeClock()
  const done: string[] = []
  let inKernel: string | undefined
  let opened = false
  let controllerAddresses = ['10.0.0.1']
  const key = (rules: CaptureRules) => JSON.stringify(rules)
  const step = createCaptureStep({
    clock,
    paths: { current: '/s/current' },
    facts: async () => ({ controllerAddresses, nameservers: [], ipv6: false }),
    effects: createEffects({ after: (name) => done.push(name) }),
    redirect: {
      verify: async (rules) => {
        done.push('verify')
        return inKernel === key(rules)
      },
      prepare: async () => {
        done.push('prepare')
      },
      apply: async (pilotAgent, rules) => {
        done.push(`apply ${pilotAgent}`)
        inKernel = key(rules)
      },
      undo: async () => {
        done.push('undo')
        inKernel = undefined
      },
    },
    watchdog: {
      get opened() {
        return opened
      },
      closed: () => {
        done.push('closed')
        opened = false
      },
    },
  })
  return {
    step,
    clock,
    done,
    flush: () => {
      inKernel = undefined
    },
    open: () => {
      opened = true
    },
    move: () => {
      controllerAddresses = ['10.0.0.2']
    },
  }
}

t.test('rules are set, and looked at now and then', async (t) => {
  const { step, clock, done, flush } = world()
  t.notOk(await step.check(bundle, signal))
  await step.apply(bundle, signal)
  t.same(done, ['verify', 'apply /s/current/bin/pilot-agent', 'capture-applied', 'closed'])
  flush()
  t.ok(await step.check(bundle, signal), 'a look costs processes')
  await clock.advance(15_000)
  t.notOk(await step.check(bundle, signal))
  await step.apply(bundle, signal)
  await clock.advance(15_000)
  t.ok(await step.check(bundle, signal))
})

t.test('what changes the rules is seen at once', async (t) => {
  const { step, move } = world()
  await step.apply(bundle, signal)
  t.notOk(
    await step.check(
      someBundle((b) => {
        b.capture.excludeInboundPorts = [1]
      }),
      signal,
    ),
  )
  move()
  t.notOk(await step.check(bundle, signal), 'another address of the controller')
})

t.test('what the watchdog opened is closed again', async (t) => {
  const { step, open, done } = world()
  await step.apply(bundle, signal)
  open()
  t.notOk(await step.check(bundle, signal))
  await step.apply(bundle, signal)
  t.equal(done.at(-1), 'closed')
  t.ok(await step.check(bundle, signal))
})

t.test('a pool without capture gets none, and loses what it had', async (t) => {
  const { step, done } = world()
  await step.apply(bundle, signal)
  const without = someBundle((b) => {
    b.capture.enabled = false
  })
  done.length = 0
  t.notOk(await step.check(without, signal))
  await step.apply(without, signal)
  t.same(done, ['undo', 'closed'])
  t.ok(await step.check(without, signal))
})

t.test('leaving takes the rules back', async (t) => {
  const { step, done } = world()
  await step.apply(bundle, signal)
  await step.undo?.(signal)
  t.same(done.slice(-2), ['undo', 'capture-undone'])
  t.notOk(await step.check(bundle, signal))
})

t.test('only what will be captured is prepared', async (t) => {
  const { step, done } = world()
  await step.prepare(bundle, signal)
  t.same(done, ['prepare'])
  await step.prepare({ ...bundle, capture: { ...bundle.capture, enabled: false } }, signal)
  t.same(done, ['prepare'])
})
