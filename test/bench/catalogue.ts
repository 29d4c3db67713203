import type { Bench } from './bench.ts'
import { boot } from './boot/boot.ts'
import { fleet } from './fleet/fleet.ts'
import { joins } from './joins/joins.ts'
import { lifecycle } from './lifecycle/lifecycle.ts'
import { runtime } from './runtime/runtime.ts'
import { standaloneLimit } from './standalone-limit/standalone-limit.ts'
import { versusIstio } from './versus-istio/versus-istio.ts'

/** Every benchmark. */
export const benches: readonly Bench[] = [
  lifecycle,
  boot,
  runtime,
  standaloneLimit,
  versusIstio,
  joins,
  fleet,
]

/** The names with what they measure, a line each. */
export function renderCatalogue(list: readonly Bench[] = benches): string {
  const width = Math.max(...list.map(({ name }) => name.length))
  return list.map(({ name, about }) => `  ${name.padEnd(width)}  ${about}`).join('\n')
}
