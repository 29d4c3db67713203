/** Colours of a terminal, by what they mean here. */
export type Tone = 'good' | 'bad' | 'wait' | 'quiet' | 'strong'

const codes = { good: 32, bad: 31, wait: 33, quiet: 2, strong: 1 } as const satisfies Record<Tone, number>

/** Paints text, or leaves it as it is where there are no colours. */
export type Paint = (text: string, tone: Tone | undefined) => string

export function createPaint(colour: boolean): Paint {
  return (text, tone) => (colour && tone !== undefined ? `\u001b[${codes[tone]}m${text}\u001b[0m` : text)
}

export interface Cell {
  readonly text: string
  readonly tone?: Tone | undefined
}

export interface Table {
  readonly head: readonly string[]
  readonly rows: readonly (readonly (string | Cell)[])[]
  /** What to say when there are no rows. */
  readonly empty: string
}

/** The table as lines; `columns` cuts them to the width of a terminal, so that none wraps. */
export function renderTable(table: Table, paint: Paint, columns = Number.POSITIVE_INFINITY): string[] {
  if (table.rows.length === 0) return [table.empty]
  const rows = table.rows.map((row) => row.map(toCell))
  const widths = table.head.map((name, i) =>
    Math.max(name.length, ...rows.map((row) => row[i]?.text.length ?? 0)),
  )
  const head = table.head.map((text) => ({ text, tone: 'quiet' as const }))
  return [head, ...rows].map((row) => renderRow(row, widths, paint, columns))
}

function renderRow(row: readonly Cell[], widths: readonly number[], paint: Paint, columns: number): string {
  let left = columns
  const cells = row.map(({ text, tone }, index) => {
    const last = index === row.length - 1
    const padded = last ? text : `${text.padEnd(widths[index] ?? 0)}  `
    const shown = padded.slice(0, Math.max(0, left))
    left -= padded.length
    return paint(shown, shown.trim() === '' ? undefined : tone)
  })
  return cells.join('').trimEnd()
}

/** Names and values below each other, for one thing in full. */
export function renderFields(
  fields: readonly (readonly [string, string | Cell | undefined])[],
  paint: Paint,
): string[] {
  const shown = fields.filter((field): field is readonly [string, string | Cell] => field[1] !== undefined)
  const width = Math.max(0, ...shown.map(([name]) => name.length))
  return shown.map(([name, value]) => {
    const { text, tone } = toCell(value)
    return `${paint(name.padEnd(width), 'quiet')}  ${paint(text, tone)}`
  })
}

/** Foreign text on one line: its control characters would steer the reader's terminal. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
}

function toCell(value: string | Cell): Cell {
  return typeof value === 'string' ? { text: plain(value) } : { ...value, text: plain(value.text) }
}
