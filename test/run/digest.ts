import type { Finding } from './tally.ts'

/** Longest digest that a reader of the end of a log is shown. */
export const digestLines = 150
/** More of one failure than its name, the difference and its place is rarely of use. */
const mostOfOne = 40
const leastOfOne = 3

/** Every failure with its file, its test and the beginning of what was wrong, in at most `maxLines` lines. */
export function digest(findings: readonly Finding[], maxLines: number = digestLines): readonly string[] {
  const share = Math.floor(maxLines / Math.max(1, findings.length)) - 2
  const ofOne = Math.min(mostOfOne, Math.max(leastOfOne, share))
  const lines: string[] = []
  for (const [index, { path, text }] of findings.entries()) {
    const told = text.split('\n').filter((line) => line.trim() !== '')
    const one = [`   ${path.join(' > ')}`, ...told.slice(0, ofOne).map((line) => `       ${line.trimEnd()}`)]
    if (told.length > ofOne) one.push(`       … ${told.length - ofOne} more lines above`)
    // The last line is kept for what does not fit.
    const isLast = index === findings.length - 1
    if (lines.length + one.length > maxLines - (isLast ? 0 : 1)) {
      lines.push(`   … and ${findings.length - index} more`)
      break
    }
    lines.push(...one)
  }
  return lines
}
