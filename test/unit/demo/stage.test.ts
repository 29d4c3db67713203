import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { createStage } from '../../../demo/stage.ts'

function written(live: boolean) {
  const texts: string[] = []
  let time = 0
  const stage = createStage({
    write: (text) => texts.push(text),
    live,
    colour: live,
    columns: () => 80,
    now: () => time,
  })
  return { stage, texts, pass: (ms: number) => (time += ms) }
}

t.test('in a log every line is plain, and a step is one line when it is over', async (t) => {
  const { stage, texts, pass } = written(false)
  stage.act('A mesh')
  const step = stage.start('the controller')
  step.at('half way')
  pass(1_234)
  step.done('a note\nof two lines')
  stage.start('requests').broken('one failed', { label: '10 requests, 1 failed', ms: 500 })
  t.same(texts.join('').split('\n'), [
    '',
    '1  A mesh',
    `  ✓ ${'the controller'.padEnd(64)}   1.23 s`,
    '    a note',
    '    of two lines',
    `  ✗ ${'10 requests, 1 failed'.padEnd(64)}   0.50 s`,
    '    one failed',
    '',
  ])
  t.ok(
    texts
      .join('')
      .split('\n')
      .every((line) => line.length <= 78),
    'it fits 80 columns',
  )
})

t.test('on a terminal a step is drawn while it lasts, and never wider than the terminal', async (t) => {
  const { stage, texts } = written(true)
  stage.start('x'.repeat(200)).failed()
  const [drawn = '', end = ''] = texts
  t.match(drawn, '\r\x1b[2K')
  t.ok(stripVTControlCharacters(drawn).trim().length < 80)
  t.match(end, '✗')
})
