/** What `npm test`, `npm run e2e`, `npm run e2e:boot` and `npm run soak` run. */
export type Mode = 'test' | 'e2e' | 'e2e:boot' | 'soak'

/** How a file is run: `light` ones side by side, `mesh` ones build a real mesh and need root. */
export type Weight = 'light' | 'mesh'

export interface TestFile {
  readonly path: string
  readonly weight: Weight
  /** Seconds until the file counts as hanging. */
  readonly limitSeconds: number
}

export interface SelectionOptions {
  /** Parts of paths; a file is taken when it holds one of them. None takes all. */
  readonly names: readonly string[]
  /** `e2e` without the files that `test` ran already. */
  readonly skipCore: boolean
  readonly soakMinutes: number
}

export interface Selection {
  readonly files: readonly TestFile[]
  /** Files of the core that `skipCore` left to `npm test`. */
  readonly leftToTest: readonly string[]
}

/** Folders of the real-mesh set that `npm test` runs too. */
export const coreFolders = ['test/e2e/core/', 'test/e2e/agent/', 'test/e2e/mesh/'] as const

const limits = { unit: 240, integration: 600, e2e: 900, boot: 1800, soakMargin: 900 } as const

/** Chooses among `paths` (relative, with `/`) the files of one mode, in a stable order. */
export function select(mode: Mode, paths: readonly string[], options: SelectionOptions): Selection {
  const named = paths
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => options.names.length === 0 || options.names.some((name) => path.includes(name)))
    .toSorted()
  const wanted = named.filter((path) => inMode(mode, path))
  const leftToTest = mode === 'e2e' && options.skipCore ? wanted.filter(isCore) : []
  const files = wanted
    .filter((path) => !leftToTest.includes(path))
    .map((path) => describe(path, options.soakMinutes))
  return { files, leftToTest }
}

/** Whether a file boots machines, which not every machine can. */
export function isBoot(path: string): boolean {
  return path.startsWith('test/e2e/boot/')
}

/** Whether a file starts a Kubernetes cluster. */
export function isCluster(path: string): boolean {
  return /^test\/(e2e|integration)\/(.*\/)?kubernetes\//.test(path)
}

function inMode(mode: Mode, path: string): boolean {
  if (mode === 'e2e:boot') return isBoot(path)
  if (mode === 'soak') return path.startsWith('test/soak/')
  if (mode === 'e2e') return path.startsWith('test/e2e/')
  return path.startsWith('test/unit/') || path.startsWith('test/integration/') || isCore(path)
}

function isCore(path: string): boolean {
  return coreFolders.some((folder) => path.startsWith(folder))
}

function describe(path: string, soakMinutes: number): TestFile {
  if (path.startsWith('test/soak/')) {
    return { path, weight: 'mesh', limitSeconds: soakMinutes * 60 + limits.soakMargin }
  }
  if (isBoot(path)) return { path, weight: 'mesh', limitSeconds: limits.boot }
  if (path.startsWith('test/e2e/')) return { path, weight: 'mesh', limitSeconds: limits.e2e }
  const limitSeconds = path.startsWith('test/integration/') ? limits.integration : limits.unit
  return { path, weight: 'light', limitSeconds }
}
