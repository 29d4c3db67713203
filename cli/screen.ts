import type { Terminal } from './terminal.ts'

/** A block of lines at the bottom of a terminal that is drawn again in place. */
export interface Screen {
  draw(lines: readonly string[]): void
}

/** Draws over what it drew last. `lines` are no wider than the terminal; those that do not fit are counted. */
export function createScreen(terminal: Pick<Terminal, 'out' | 'rows'>): Screen {
  let drawn = 0
  return {
    draw(lines) {
      const room = Math.max(3, terminal.rows() - 1)
      const shown =
        lines.length <= room ? lines : [...lines.slice(0, room - 1), `… and ${lines.length - room + 1} more`]
      const up = drawn === 0 ? '' : `\u001b[${drawn}A`
      terminal.out(`${up}\r\u001b[J${shown.join('\n')}\n`)
      drawn = shown.length
    },
  }
}
