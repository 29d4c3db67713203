import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { VmView } from '../shared/api/operator.ts'
import { Name } from '../shared/api/wire.ts'
import { isMooringError, MooringError } from '../shared/errors.ts'
import type { Client } from './client.ts'

const shown = 5

/** The VM whose id is `text`, or begins with it and is the only one that does. */
export async function findVm(client: Client, text: string): Promise<VmView> {
  if (Value.Check(Name, text)) {
    try {
      return await client.call('GET', vmPath(text), VmView)
    } catch (error) {
      if (!isMooringError(error, 'NOT_FOUND')) throw error
    }
  }
  const all = await client.call('GET', '/v1/vms', Type.Array(VmView))
  return pickVm(all, text)
}

/** The one VM of `all` that `text` abbreviates; throws `NOT_FOUND` when there is none, or more than one. */
export function pickVm<V extends { readonly id: string }>(all: readonly V[], text: string): V {
  const fitting = all.filter((vm) => vm.id.startsWith(text))
  const exact = fitting.find((vm) => vm.id === text)
  const [only] = fitting
  if (exact !== undefined) return exact
  if (only === undefined || text === '')
    throw new MooringError('NOT_FOUND', { detail: `no VM's id begins with "${text}"` })
  if (fitting.length === 1) return only
  const names = fitting.slice(0, shown).map((vm) => vm.id)
  const more = fitting.length > shown ? ` and ${fitting.length - shown} more` : ''
  throw new MooringError('NOT_FOUND', {
    detail: `"${text}" could be ${names.join(', ')}${more}; write more of it`,
  })
}

export function vmPath(id: string, rest = ''): string {
  return `/v1/vms/${encodeURIComponent(id)}${rest}`
}
