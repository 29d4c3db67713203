/** A word that the shell of the other machine takes as it is (POSIX, 2.2.2 Single-Quotes). */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

/** A line for that shell. */
export function commandLine(words: readonly string[]): string {
  return words.map(quoted).join(' ')
}
