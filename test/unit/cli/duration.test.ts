import fc from 'fast-check'
import t from 'tap'
import { parseDuration, renderDuration, renderMoment, renderTime } from '../../../cli/duration.ts'

t.test('durations are read as people write them', async (t) => {
  const cases = {
    '90': 90,
    '30s': 30,
    '10m': 600,
    '1h30m': 5400,
    '7d': 604_800,
    '0.5s': 0.5,
    '1d2h3m4s': 93_784,
    '0s': 0,
  }
  for (const [text, seconds] of Object.entries(cases)) t.equal(parseDuration(text, '--ttl'), seconds, text)
})

t.test('what is no duration is refused, with the name of the option', async (t) => {
  for (const text of ['', 's', '1x', '-5s', '1h ', '1 h', 'h1', '1e3', '5m!']) {
    t.throws(() => parseDuration(text, '--ttl'), { code: 'CONFIG_INVALID', detail: /--ttl/ }, text)
  }
})

t.test('ages are short, and never shrink as time goes by', async (t) => {
  const cases = {
    0: '0s',
    119000: '119s',
    192000: '3m12s',
    600000: '10m',
    11100000: '3h5m',
    36000000: '10h',
    432000000: '5d',
  }
  for (const [ms, text] of Object.entries(cases)) t.equal(renderDuration(Number(ms)), text)
  const inSeconds = (ms: number) => parseDuration(renderDuration(ms), 'age')
  fc.assert(fc.property(fc.nat(1e10), fc.nat(1e10), (a, b) => a > b || inSeconds(a) <= inSeconds(b)))
  t.equal(renderDuration(-5), '0s', 'a clock that went back is no news')
})

t.test('moments are said from where one stands', async (t) => {
  t.equal(renderMoment(1000, 61_000), '60s ago')
  t.equal(renderMoment(61_000, 1000), 'in 60s')
  t.equal(renderTime(0), '1970-01-01T00:00:00Z')
})
