import fc from 'fast-check'
import t from 'tap'
import { createEventReader } from '../../../cli/event-reader.ts'

t.test('events, comments and joined lines', async (t) => {
  const reader = createEventReader()
  t.same(
    reader.push('event: vm\ndata: {"a":1}\n\n: comment\n\ndata: x\ndata:y\n\nid: 7\n\nevent: gone\ndata\n\n'),
    [
      { event: 'vm', data: '{"a":1}' },
      { event: 'message', data: 'x\ny' },
      { event: 'gone', data: '' },
    ],
  )
})

t.test('it does not matter how the text is cut, nor which line ends it has', async (t) => {
  const word = fc.stringMatching(/^[a-z{}":0-9]{1,10}$/)
  const given = fc.array(fc.record({ event: word, data: fc.array(word, { minLength: 1, maxLength: 3 }) }), {
    maxLength: 6,
  })
  fc.assert(
    fc.property(
      given,
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.array(fc.nat(12), { maxLength: 80 }),
      (events, end, cuts) => {
        const text = events
          .map((e) => [`event: ${e.event}`, ...e.data.map((d) => `data: ${d}`), '', ''].join(end))
          .join('')
        const reader = createEventReader()
        const got = []
        let rest = `${text}${end}`
        for (const cut of [...cuts, rest.length]) {
          got.push(...reader.push(rest.slice(0, cut)))
          rest = rest.slice(cut)
        }
        got.push(...reader.push(`${rest}:${end}`))
        return (
          JSON.stringify(got) ===
          JSON.stringify(events.map((e) => ({ event: e.event, data: e.data.join('\n') })))
        )
      },
    ),
  )
  t.pass('for all texts and cuts')
})

t.test('an event without an end is not collected for ever', async (t) => {
  const reader = createEventReader(100)
  t.doesNotThrow(() => reader.push(`data: ${'x'.repeat(50)}\n\n`))
  t.throws(() => reader.push(`data: ${'x'.repeat(200)}`), { code: 'CONTROLLER_UNREACHABLE' })
  const lines = createEventReader(100)
  t.throws(
    () => {
      for (let i = 0; i < 100; i += 1) lines.push('data: xxxxxxxx\n')
    },
    { code: 'CONTROLLER_UNREACHABLE' },
  )
})
