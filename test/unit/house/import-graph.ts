import { builtinModules } from 'node:module'
import path from 'node:path'
import { textOf } from './source-tree.ts'

/** One import of a file, resolved. */
export interface Import {
  /** A path of the project, a package's name, or `node:<module>`. */
  readonly target: string
  readonly kind: 'file' | 'package' | 'builtin'
  /** Erased before the file runs. */
  readonly typeOnly: boolean
  /** What is taken from it, `*` for all; empty for a bare import. */
  readonly names: readonly string[]
}

const statement =
  /^[ \t]*(import|export)\s+(?:(type)\s+)?((?:[\w$*]+(?:\s+as\s+[\w$]+)?\s*,?\s*)?(?:\{[^}]*\})?)\s*(?:from\s*)?['"]([^'"\n]+)['"]/gm
const dynamic = /\bimport\(\s*['"]([^'"\n]+)['"]/g

/** The imports of a file: static, re-exporting and dynamic ones. */
export function importsOf(file: string): readonly Import[] {
  return parseImports(textOf(file), file)
}

/** The imports that `source`, the text of `file`, makes. */
export function parseImports(source: string, file: string): readonly Import[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  const found: Import[] = []
  for (const [, keyword, type, clause = '', specifier = ''] of code.matchAll(statement)) {
    if (keyword === 'export' && !/[{*]/.test(clause)) continue
    found.push({ ...resolve(specifier, file), ...readClause(clause, type !== undefined) })
  }
  for (const [, specifier = ''] of code.matchAll(dynamic)) {
    found.push({ ...resolve(specifier, file), typeOnly: false, names: ['*'] })
  }
  return found
}

function readClause(clause: string, typeImport: boolean): Pick<Import, 'typeOnly' | 'names'> {
  const braces = /\{([^}]*)\}/.exec(clause)
  const named = (braces?.[1] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  const outside = clause
    .replace(/\{[^}]*\}/, '')
    .replace(/,/g, '')
    .trim()
  const values = named
    .filter((name) => !name.startsWith('type '))
    .map((name) => name.replace(/\s+as\s.*$/, ''))
  const names = [...values, ...(outside === '' ? [] : [outside.startsWith('*') ? '*' : 'default'])]
  return { typeOnly: typeImport || (clause.trim() !== '' && names.length === 0), names }
}

function resolve(specifier: string, file: string): Pick<Import, 'target' | 'kind'> {
  if (specifier.startsWith('.')) {
    return { target: path.posix.join(path.posix.dirname(file), specifier), kind: 'file' }
  }
  // Of the runtime that the executable is compiled with.
  if (specifier.startsWith('bun:')) return { target: specifier, kind: 'builtin' }
  if (specifier.startsWith('node:') || builtinModules.includes(specifier)) {
    return { target: `node:${specifier.replace(/^node:/, '')}`, kind: 'builtin' }
  }
  const parts = specifier.split('/')
  return { target: parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/'), kind: 'package' }
}

/** All that runs when `file` runs: the file itself and what its value imports reach, packages and built-ins too. */
export function reach(file: string): ReadonlyMap<string, readonly string[]> {
  const via = new Map<string, readonly string[]>([[file, [file]]])
  for (const [current, route] of via) {
    if (!current.endsWith('.ts')) continue
    for (const { target, typeOnly } of importsOf(current)) {
      if (!typeOnly && !via.has(target)) via.set(target, [...route, target])
    }
  }
  return via
}

/** A cycle in the graph, as the files along it; undefined when there is none. */
export function findCycle(edges: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>()
  const walk = (file: string, route: readonly string[]): readonly string[] | undefined => {
    if (route.includes(file)) return [...route.slice(route.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const target of edges.get(file) ?? []) {
      const cycle = walk(target, [...route, file])
      if (cycle !== undefined) return cycle
    }
    done.add(file)
    return undefined
  }
  for (const file of edges.keys()) {
    const cycle = walk(file, [])
    if (cycle !== undefined) return cycle
  }
  return undefined
}
