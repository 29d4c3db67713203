import type { Assertion, TestNode } from './tap-reader.ts'

/** One test that failed, or was left out, and why. */
export interface Finding {
  /** File, then the names of the tests down to this one. */
  readonly path: readonly string[]
  readonly text: string
}

/** What a scene of the real mesh reports of itself. */
export interface Scene {
  readonly name: string
  readonly result: 'passed' | 'failed' | 'skipped'
  readonly requests: number
  readonly failed: number
}

/** The result of one file, or of many. */
export interface Tally {
  readonly passed: number
  readonly failed: number
  /** Skipped and postponed (`todo`) tests. */
  readonly skipped: number
  readonly failures: readonly Finding[]
  readonly skips: readonly Finding[]
  readonly scenes: readonly Scene[]
}

export const emptyTally: Tally = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [], scenes: [] }

/** How the process of a test file ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: string | null
  /** Why it was stopped from outside, if it was. */
  readonly stopped?: string
  /** The tests that were open then, outermost first. */
  readonly during: readonly string[]
  /** Its last lines, for failures that the tests themselves do not explain. */
  readonly tail: string
  /** The last lines of its standard error alone. */
  readonly errorTail: string
}

/**
 * Counts tests: a test is a `t.test` (or a file) with assertions of its own. It fails when one of them fails, or
 * when it makes none and holds no other test: such a test proves nothing.
 */
export function tally(root: TestNode, ending: Ending): Tally {
  const result = { passed: 0, failed: 0, skipped: 0, failures: [] as Finding[], skips: [] as Finding[] }
  const scenes: Scene[] = []

  function fail(path: readonly string[], text: string): void {
    result.failed += 1
    result.failures.push({ path, text })
  }

  function visit(test: TestNode, above: readonly string[]): void {
    const path = [...above, test.name]
    const before = { failed: result.failed, passed: result.passed }
    for (const child of test.children) visit(child, path)

    const left = [...test.assertions, ...(test.directive === undefined ? [] : [test as LeftOut])].filter(
      isLeftOut,
    )
    for (const one of left) {
      result.skipped += 1
      const name = one === test ? path : [...path, one.name]
      result.skips.push({
        path: name,
        text: `${one.directive?.kind}: ${one.directive?.reason || 'no reason given'}`,
      })
    }

    const own = test.assertions.filter((a) => !isLeftOut(a))
    const text = fault(test, own, result.failed > before.failed)
    if (text !== undefined) fail(path, [text, ...said(test)].join('\n'))
    else if (own.length > 0 && (test === root || test.ok !== undefined)) result.passed += 1

    const reported = readScenes(test)
    if (reported === undefined) fail(path, 'its mooring-scene comment cannot be read')
    const failed = result.failed > before.failed || (test !== root && test.ok === undefined)
    const verdict = failed ? 'failed' : result.passed > before.passed ? 'passed' : 'skipped'
    if (reported !== undefined && reported.length > 0) {
      scenes.push(
        ...reported.map((figures) => scene(figures.name, verdict, figures.requests, figures.failed)),
      )
    } else if (own.length > 0 || failed) {
      if (test !== root && test.children.length === 0) scenes.push(scene(test.name, verdict))
    }
    scenes.push(...left.filter((one) => one !== test).map((one) => scene(one.name, 'skipped')))
  }

  visit(root, [])
  const unexplained = processFault(root, ending, result.failed > 0)
  if (unexplained !== undefined) fail([root.name], unexplained)
  else if (result.failed > 0 && ending.errorTail !== '') {
    const last = result.failures.pop() as Finding
    const text = `${last.text}\nStandard error of the file ended with:\n${indent(ending.errorTail)}`
    result.failures.push({ path: last.path, text })
  }
  return { ...result, scenes }
}

/** Several results as one. */
export function sum(tallies: readonly Tally[]): Tally {
  return tallies.reduce(
    (all, one) => ({
      passed: all.passed + one.passed,
      failed: all.failed + one.failed,
      skipped: all.skipped + one.skipped,
      failures: [...all.failures, ...one.failures],
      skips: [...all.skips, ...one.skips],
      scenes: [...all.scenes, ...one.scenes],
    }),
    emptyTally,
  )
}

/** The last line of every run. */
export function lastLine(counts: Pick<Tally, 'passed' | 'failed' | 'skipped'>): string {
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
  return `${counts.passed} passed, ${counts.failed} failed${skipped}`
}

type LeftOut = Pick<Assertion, 'name' | 'directive'>

function isLeftOut(point: LeftOut): boolean {
  return point.directive !== undefined
}

/** Why the test itself, apart from the tests in it, fails; undefined when it does not. */
function fault(test: TestNode, own: readonly Assertion[], explainedBelow: boolean): string | undefined {
  const failing = own.filter((a) => !a.ok)
  if (failing.length > 0)
    return failing.map((a) => `${a.name}\n${indent(a.diagnostics)}`.trimEnd()).join('\n')
  if (test.directive !== undefined) return undefined
  if (test.ok === false && !explainedBelow) return test.diagnostics || 'it failed and did not say why'
  const holdsNothing = test.assertions.length === 0 && test.children.length === 0
  if (test.ok === true && holdsNothing) return 'it made no assertion, so it proves nothing'
  return undefined
}

/** The comments of a test that failed; node-tap's own (counts and times) left out. */
function said(test: TestNode): string[] {
  const comments = test.comments.filter((c) => !/^(time=|\{ total: )/.test(c))
  return comments.length === 0 ? [] : [`It said:\n${indent(comments.join('\n'))}`]
}

function processFault(root: TestNode, ending: Ending, explained: boolean): string | undefined {
  const open = ending.during.length === 0 ? '' : `It was in: ${ending.during.join(' > ')}\n`
  const last = ending.tail === '' ? 'It printed nothing else.' : `Its last lines:\n${indent(ending.tail)}`
  const tail = `${open}${last}`
  if (ending.stopped !== undefined) return `${ending.stopped}\n${tail}`
  if (root.bailedOut !== undefined) return `it gave up: ${root.bailedOut || 'no reason given'}\n${tail}`
  if (ending.signal !== null) return `its process was ended by ${ending.signal}\n${tail}`
  if (ending.code !== 0 && !explained) return `its process ended with exit code ${ending.code}\n${tail}`
  const points = root.assertions.length + root.children.length
  if (root.plan === undefined) return `its output ends before its plan\n${tail}`
  if (root.plan !== points) return `it announced ${root.plan} tests and reported ${points}\n${tail}`
  if (points === 0) return `there is no test in it${root.planReason === '' ? '' : ` (${root.planReason})`}`
  return undefined
}

const sceneComment = /^mooring-scene\s+(\{.*\})\s*$/

/**
 * A scene reports its figures as a comment: `# mooring-scene {"name":…,"requests":…,"failed":…}`.
 * Undefined when one cannot be read.
 */
function readScenes(test: TestNode): readonly Omit<Scene, 'result'>[] | undefined {
  try {
    return test.comments.flatMap((comment) => {
      const match = sceneComment.exec(comment)
      if (match === null) return []
      const { name, requests, failed } = JSON.parse(match[1] ?? '') as Record<string, unknown>
      return [
        {
          name: typeof name === 'string' ? name : test.name,
          requests: count(requests),
          failed: count(failed),
        },
      ]
    })
  } catch {
    return undefined
  }
}

function scene(name: string, result: Scene['result'], requests = 0, failed = 0): Scene {
  return { name, result, requests, failed }
}

function count(value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value
  throw new TypeError('not a count')
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? line : `  ${line}`))
    .join('\n')
}
