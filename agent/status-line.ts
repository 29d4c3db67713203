import { firstFault } from '../shared/conditions.ts'
import type { StatusBoard } from './status.ts'

/** Stages in which what is not well is meant to be so. */
const departing: readonly string[] = ['draining', 'held', 'leaving', 'left']

/** One line for people: what this VM is about, and what is wrong first. */
export function statusLine({ stage, conditions }: Pick<StatusBoard, 'stage' | 'conditions'>): string {
  const fault = firstFault(conditions())
  if (fault?.status !== 'False' || departing.includes(stage)) return stage
  return `${stage}; ${fault.type}: ${fault.reason} ${fault.message}`.trimEnd()
}
