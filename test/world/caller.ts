import type { Vm } from '../testbed/network/vm.ts'

/** Where programs run that call others: a VM, or a pod. */
export type Caller = Pick<Vm, 'name' | 'spawn' | 'exec'>
