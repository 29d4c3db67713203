import t from 'tap'
import { findCycle, parseImports } from './import-graph.ts'

t.test('every way to import is seen', async (t) => {
  const source = `import { a, type B } from './a.ts'
import type { C } from '../c.ts'
import { type D, type E } from './d.ts'
import * as all from 'some-package/sub'
import thing, { other as another } from '@scope/package/deep'
import 'reflect-metadata'
import {
  one,
  two,
} from 'node:fs'
export { x } from './x.ts'
export * from './star.ts'
const late = await import('ws')
// import { no } from 'comment'
/* import { no } from 'comment' */
export const name = 'from nothing'
export function f() { return 'x' }`
  t.same(
    parseImports(source, 'agent/steps/step.ts').map((i) => [i.target, i.typeOnly, i.names.join()]),
    [
      ['agent/steps/a.ts', false, 'a'],
      ['agent/c.ts', true, 'C'],
      ['agent/steps/d.ts', true, ''],
      ['some-package', false, '*'],
      ['@scope/package', false, 'other,default'],
      ['reflect-metadata', false, ''],
      ['node:fs', false, 'one,two'],
      ['agent/steps/x.ts', false, 'x'],
      ['agent/steps/star.ts', false, '*'],
      ['ws', false, '*'],
    ],
  )
})

t.test('a cycle is found, and a graph without one has none', async (t) => {
  const graph = new Map([
    ['a', ['b', 'c']],
    ['b', ['c']],
    ['c', ['d']],
    ['d', []],
  ])
  t.equal(findCycle(graph), undefined)
  t.same(findCycle(new Map([...graph, ['d', ['b']]])), ['b', 'c', 'd', 'b'])
  t.same(findCycle(new Map([['self', ['self']]])), ['self', 'self'])
})
