import { MooringError } from '../../shared/errors.ts'
import type { Identity } from '../state.ts'
import type { JoinMethod } from './method.ts'

export interface RenewMethodDeps {
  readonly identity: () => Identity | undefined
  /** What the controller called the newest stream of this process. */
  readonly session: () => string | undefined
}

/** Join method `renew`: the key that the request is signed with is the evidence. */
export function createRenewMethod({ identity, session }: RenewMethodDeps): JoinMethod {
  return {
    name: 'renew',
    async evidence() {
      const vm = identity()?.vm
      if (vm === undefined) throw new MooringError('KEY_UNKNOWN', { detail: 'this VM has not joined yet' })
      const name = session()
      return { method: 'renew', vm, ...(name !== undefined && { session: name }) }
    },
  }
}
