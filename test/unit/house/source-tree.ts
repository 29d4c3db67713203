import { globSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'

/** The project's root folder. */
export const root = path.resolve(import.meta.dirname, '../../..')

/** Folders of the product: what ships, as opposed to what tests or shows it. */
export const productFolders = ['agent', 'controller', 'cli', 'shared'] as const

const leftOut = new Set(['node_modules', '.git', '.tap', '.cache', 'dist'])

/** Every file of the project whose path matches one of the globs, relative to the root, with `/`. */
export function filesOf(...globs: readonly string[]): readonly string[] {
  return globSync([...globs], { cwd: root, exclude: (name) => leftOut.has(path.basename(name)) })
    .filter((file) => statSync(path.join(root, file), { throwIfNoEntry: false })?.isFile())
    .map((file) => file.split(path.sep).join('/'))
    .toSorted()
}

/** Every TypeScript file of the product. */
export function productFiles(): readonly string[] {
  return filesOf(...productFolders.map((folder) => `${folder}/**/*.ts`))
}

export function textOf(file: string): string {
  return readFileSync(path.join(root, file), 'utf8')
}

/** The text of a TypeScript file without its comments. */
export function codeOf(file: string): string {
  return textOf(file).replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
}
