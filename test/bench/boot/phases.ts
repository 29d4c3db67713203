/** The points that a boot passes, in their order. */
export const markNames = [
  /** systemd begins to start the agent's unit. */
  'unit',
  'started',
  'joined',
  'installed',
  'files',
  'sidecar',
  'envoy',
  'captured',
  'open',
  'answered',
] as const
export type MarkName = (typeof markNames)[number]

/** When each point was passed, in milliseconds of any one clock; a point is absent where there was nothing to do. */
export type Marks = Readonly<Partial<Record<MarkName, number>>>

/** What lies between a point and the one before it. */
export const phaseNames = {
  started: 'agent start',
  joined: 'challenge and join',
  installed: 'install',
  files: 'files',
  sidecar: 'sidecar start',
  envoy: 'Envoy ready',
  captured: 'capture',
  open: 'open to peers',
  answered: 'first 200',
} as const satisfies Partial<Record<MarkName, string>>
export type PhaseName = (typeof phaseNames)[keyof typeof phaseNames]
export type Phases = Readonly<Record<PhaseName, number>>

/** The last words of the agent's log by which a point is known. */
const spoken: readonly (readonly [MarkName, RegExp])[] = [
  ['started', /^agent started\b/],
  ['joined', /^joined\b/],
  ['installed', /^step done .*\bstep=install\b/],
  ['files', /^step done .*\bstep=files\b/],
  ['sidecar', /^step done .*\bstep=sidecar\b/],
  ['envoy', /^step done .*\bstep=ready\b/],
  ['captured', /^step done .*\bstep=capture\b/],
]

/** The points that the log of one boot shows: the first line of each counts. */
export function marksOfLog(lines: readonly { readonly ms: number; readonly message: string }[]): Marks {
  const marks: Partial<Record<MarkName, number>> = {}
  for (const { ms, message } of lines)
    for (const [name, pattern] of spoken) if (pattern.test(message)) marks[name] ??= ms
  return marks
}

/** The time between points, in milliseconds; 0 where there was nothing to do. Throws when the ends are unknown. */
export function phasesOf(marks: Marks): Phases {
  if (marks.unit === undefined || marks.answered === undefined)
    throw new Error(`neither end of a boot may be missing: ${JSON.stringify(marks)}`)
  let before = marks.unit
  return Object.fromEntries(
    Object.entries(phaseNames).map(([mark, phase]) => {
      // Two logs, two clocks and a network lie between some points: none counts as before the one before it.
      const at = Math.max(before, marks[mark as MarkName] ?? before)
      const ms = at - before
      before = at
      return [phase, ms]
    }),
  ) as Phases
}

/** From the start of the agent's unit to the first answer, in milliseconds. */
export function totalOf({ unit = Number.NaN, answered = Number.NaN }: Marks): number {
  return answered - unit
}
