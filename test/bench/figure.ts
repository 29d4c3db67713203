/** Something measured, and what it should be. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: 'ms' | 's' | 'MB' | '%' | 'kB' | 'requests' | ''
  /** Absent where nothing is promised. */
  readonly goal?: Goal
}

export type Goal = { readonly atMost: number } | { readonly atLeast: number }

/** Whether a figure is as it should be; undefined where nothing is promised. What could not be measured is not. */
export function isMet({ value, goal }: Figure): boolean | undefined {
  if (goal === undefined) return undefined
  return 'atMost' in goal ? value <= goal.atMost : value >= goal.atLeast
}

/** Figures as a table for people: measured beside wanted. */
export function renderFigures(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const met = isMet(figure)
    const { name, value, unit, goal } = figure
    return [name, quantity(value, unit), goal === undefined ? '' : goalText(goal, unit), mark(met)]
  })
  const all = [['', 'measured', 'goal', ''], ...rows]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => (row[column] ?? '').length)))
  return all
    .map(([name = '', measured = '', goal = '', verdict = '']) => {
      const [first = 0, second = 0, third = 0] = widths
      return `  ${name.padEnd(first)}  ${measured.padStart(second)}  ${goal.padStart(third)}  ${verdict}`.trimEnd()
    })
    .join('\n')
}

function mark(met: boolean | undefined): string {
  if (met === undefined) return ''
  return met ? '✓' : '✗ missed'
}

function goalText(goal: Goal, unit: Figure['unit']): string {
  return 'atMost' in goal ? `≤ ${quantity(goal.atMost, unit)}` : `≥ ${quantity(goal.atLeast, unit)}`
}

/** A value as a person reads it: three digits that mean something, thousands apart. */
export function quantity(value: number, unit: Figure['unit']): string {
  if (Number.isNaN(value)) return '–'
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2
  const number = value.toLocaleString('en-US', {
    maximumFractionDigits: digits,
    minimumFractionDigits: digits,
  })
  return unit === '' || unit === 'requests' ? number : `${number} ${unit}`
}
