import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { type Condition, conditionCatalogue, firstFault } from '../../shared/conditions.ts'
import { errorCatalogue } from '../../shared/error-catalogue.ts'
import { isErrorCode, MooringError } from '../../shared/errors.ts'

/** What `mooring-agent status` shows. */
export const StatusView = Type.Object({
  version: Type.String(),
  stage: Type.String(),
  health: Type.String(),
  controller: Type.String(),
  connected: Type.Boolean(),
  /** Why there is no stream. */
  trouble: Type.Optional(Type.String()),
  pool: Type.String(),
  vm: Type.Optional(Type.String()),
  certificateUntil: Type.Optional(Type.Integer()),
  tokenUntil: Type.Optional(Type.Integer()),
  bundleRevision: Type.String(),
  sidecar: Type.Object({
    running: Type.Boolean(),
    /** Of the one that runs. */
    version: Type.Optional(Type.String()),
    pid: Type.Optional(Type.Integer()),
    restarts: Type.Integer(),
  }),
  conditions: Type.Array(
    Type.Object({
      type: Type.String(),
      status: Type.String(),
      reason: Type.String(),
      message: Type.String(),
      since: Type.Integer(),
    }),
  ),
})
export type StatusView = Static<typeof StatusView>

/** Checks what the running agent answered. */
export function readStatusView(value: unknown): StatusView {
  if (Value.Check(StatusView, value)) return value
  throw new MooringError('INTERNAL', { detail: 'the running agent is of another release' })
}

/** The status for people. */
export function statusText(view: StatusView): string {
  const rows: [string, string][] = [
    ['stage', view.stage],
    ['health', view.health],
    ['vm', view.vm ?? '(not joined)'],
    ['pool', view.pool],
    [
      'controller',
      `${view.controller} (${view.connected ? 'connected' : (view.trouble ?? 'not connected')})`,
    ],
    ['sidecar', view.sidecar.running ? runningText(view.sidecar) : 'stopped'],
    ['certificate', timeText(view.certificateUntil)],
    ['token', timeText(view.tokenUntil)],
    ['agent', view.version],
  ]
  const lines = rows.map(([name, value]) => `${name.padEnd(12)} ${value}`)
  const conditions = view.conditions.filter(isKnown)
  for (const { type, status, reason, message } of conditions) {
    const why = status === 'True' && message === '' ? '' : ` ${reason}${message === '' ? '' : `: ${message}`}`
    lines.push(`  ${type.padEnd(18)} ${status.padEnd(7)}${why}`.trimEnd())
  }
  const fault = firstFault(conditions)
  if (fault !== undefined && isErrorCode(fault.reason) && view.stage !== 'left') {
    lines.push('', `${errorCatalogue[fault.reason].title}.`, `fix: ${errorCatalogue[fault.reason].fix}`)
  }
  return `${lines.join('\n')}\n`
}

function runningText({ version, pid, restarts }: StatusView['sidecar']): string {
  const words = ['runs', version, `pid ${pid}`, `${restarts} restarts`]
  return words.filter((word) => word !== undefined).join(', ')
}

function isKnown(condition: StatusView['conditions'][number]): condition is Condition {
  return Object.hasOwn(conditionCatalogue, condition.type)
}

function timeText(time: number | undefined): string {
  return time === undefined ? '(none)' : `valid until ${new Date(time).toISOString()}`
}
