import { MooringError } from '../../shared/errors.ts'
import type { Identity } from '../state.ts'
import type { JoinMethod } from './method.ts'

/** Join method `renew`: the key that the request is signed with is the evidence. */
export function createRenewMethod(identity: () => Identity | undefined): JoinMethod {
  return {
    name: 'renew',
    async evidence() {
      const vm = identity()?.vm
      if (vm === undefined) throw new MooringError('KEY_UNKNOWN', { detail: 'this VM has not joined yet' })
      return { method: 'renew', vm }
    },
  }
}
