/** A test as its output tells it: the file itself is the root, each `t.test` is a node below. */
export interface TestNode {
  readonly name: string
  /** The verdict of the producer; undefined when the output ended before it. */
  ok: boolean | undefined
  directive: Directive | undefined
  /** The YAML block below the verdict, without its indentation. */
  diagnostics: string
  readonly assertions: Assertion[]
  readonly children: TestNode[]
  readonly comments: string[]
  /** How many points the plan announced, assertions and children together. */
  plan: number | undefined
  planReason: string
  bailedOut: string | undefined
}

export interface Assertion {
  readonly name: string
  readonly ok: boolean
  readonly directive: Directive | undefined
  diagnostics: string
}

export interface Directive {
  readonly kind: 'skip' | 'todo'
  readonly reason: string
}

/** Reads the output of one test file line by line. */
export interface TapReader {
  line(text: string): void
  readonly root: TestNode
  /** Names of the tests that are open now, outermost first. */
  open(): readonly string[]
  /** Whether the file said how many tests it has and reported that many. */
  complete(): boolean
}

const pointPattern = /^(not )?ok\b(?: (\d+))?(?: - ?)?(.*)$/
const planPattern = /^1\.\.(\d+)(?:\s*#\s*(.*))?$/

/**
 * A reader of TAP 14 (https://testanything.org/tap-version-14-specification.html) as node-tap writes it:
 * subtests are indented by four spaces under a `# Subtest:` line. Lines that are no TAP are left to others.
 */
export function createTapReader(fileName: string): TapReader {
  const root = node(fileName)
  const stack: TestNode[] = [root]
  let yaml:
    | { readonly indent: string; readonly lines: string[]; readonly owner: Assertion | TestNode }
    | undefined
  let lastPoint: Assertion | TestNode | undefined

  function line(text: string): void {
    const depth = depthOf(text)
    const current = depth === undefined ? undefined : stack[depth]
    if (yaml !== undefined) yamlLine(text)
    else if (depth === undefined || current === undefined) openYaml(text)
    else takeLine(depth, current, text.slice(depth * 4))
  }

  function takeLine(depth: number, current: TestNode, body: string): void {
    if (body.startsWith('# Subtest: ') || body === '# Subtest') {
      stack.length = depth + 1
      const child = node(unescaped(body.slice('# Subtest: '.length)))
      current.children.push(child)
      stack.push(child)
    } else if (body.startsWith('#')) {
      current.comments.push(body.replace(/^#\s?/, ''))
    } else if (body.startsWith('Bail out!')) {
      for (const open of stack) open.bailedOut ??= body.slice('Bail out!'.length).trim()
    } else {
      const plan = planPattern.exec(body)
      const point = plan === null ? pointPattern.exec(body) : null
      if (plan !== null) {
        current.plan = Number(plan[1])
        current.planReason = plan[2] ?? ''
      } else if (point !== null) {
        takePoint(depth, point[1] === undefined, point[3] ?? '')
      }
    }
  }

  function takePoint(depth: number, ok: boolean, rest: string): void {
    const { name, directive } = split(rest)
    const child = stack[depth + 1]
    if (child !== undefined) {
      stack.length = depth + 1
      child.ok = ok
      child.directive = directive
      lastPoint = child
      return
    }
    const assertion: Assertion = { name, ok, directive, diagnostics: '' }
    stack[depth]?.assertions.push(assertion)
    lastPoint = assertion
  }

  function openYaml(text: string): void {
    const match = /^( *)---$/.exec(text)
    if (match === null || lastPoint === undefined) return
    yaml = { indent: match[1] ?? '', lines: [], owner: lastPoint }
  }

  function yamlLine(text: string): void {
    if (yaml === undefined) return
    if (text === `${yaml.indent}...`) {
      yaml.owner.diagnostics = yaml.lines.join('\n')
      yaml = undefined
      return
    }
    yaml.lines.push(text.startsWith(yaml.indent) ? text.slice(yaml.indent.length) : text)
  }

  return {
    line,
    root,
    open: () => stack.slice(1).map((n) => n.name),
    complete: () => root.plan !== undefined && root.plan === root.assertions.length + root.children.length,
  }
}

function node(name: string): TestNode {
  return {
    name,
    ok: undefined,
    directive: undefined,
    diagnostics: '',
    assertions: [],
    children: [],
    comments: [],
    plan: undefined,
    planReason: '',
    bailedOut: undefined,
  }
}

function depthOf(text: string): number | undefined {
  const indent = text.length - text.trimStart().length
  return indent % 4 === 0 && indent < text.length ? indent / 4 : undefined
}

/** Takes `name # SKIP reason` apart; a `#` of the name itself comes escaped. */
function split(rest: string): { name: string; directive: Directive | undefined } {
  const at = rest.search(/(?:^|\s)#\s/)
  if (at === -1) return { name: unescaped(rest.trim()), directive: undefined }
  const match = /#\s+(skip|todo)\S*\s*(.*)$/i.exec(rest.slice(at))
  const name = unescaped(rest.slice(0, at).trim())
  if (match === null) return { name, directive: undefined }
  const kind = match[1]?.toLowerCase() === 'skip' ? 'skip' : 'todo'
  return { name, directive: { kind, reason: (match[2] ?? '').replace(/\s*#?\s*time=\S+$/, '') } }
}

function unescaped(text: string): string {
  return text.replace(/\\([\\#])/g, '$1')
}
