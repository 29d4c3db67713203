import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { Bundle } from '../shared/api/bundle.ts'
import { Name, Time } from '../shared/api/wire.ts'
import { MooringError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { asStorageFault, readBounded, removeTemporaries, writeAtomic } from './host/files.ts'

/** Version of the state file; see `migrations`. */
export const stateVersion = 1

/** Who this VM is, as the controller said. */
const Identity = Type.Object({
  vm: Name,
  pool: Name,
  /** PEM: certificate and issuer. */
  certificate: Type.String(),
  certificateFrom: Time,
  certificateUntil: Time,
  /** PEM: whom the agent trusts as the controller. */
  controllerCa: Type.String(),
  joinedAt: Time,
})
export type Identity = Static<typeof Identity>

/** All that the agent remembers over restarts. */
export const State = Type.Object({
  version: Type.Literal(stateVersion),
  /** PKCS#8 in PEM. It is what makes a repeated join the same join, so it is here before the first request. */
  privateKey: Type.String({ minLength: 1 }),
  identity: Type.Optional(Identity),
  bundle: Type.Optional(Bundle),
  /** When the bundle's token was got, by the controller's clock. */
  bundleAt: Type.Optional(Time),
  /** This VM left the mesh; the next start joins it anew with the same key. */
  left: Type.Optional(
    Type.Object({
      at: Time,
      reason: Type.String({ maxLength: 64 }),
      /** The controller did not confirm it yet. */
      untold: Type.Optional(Type.Literal(true)),
    }),
  ),
  /** The machine that this state belongs to; `MachineMark`. */
  machine: Type.Optional(
    Type.Object({
      machineId: Type.Optional(Type.String({ maxLength: 64 })),
      instanceId: Type.Optional(Type.String({ maxLength: 256 })),
    }),
  ),
  /** An identity of another machine was here, until this one joined. */
  dropped: Type.Optional(
    Type.Object({ at: Time, why: Type.String({ maxLength: 1024 }), vm: Type.Optional(Name) }),
  ),
  /** The controller does not take this key any more. */
  revoked: Type.Optional(Type.Object({ at: Time })),
})
export type State = Static<typeof State>

/** The state file and its copy. One process writes it: the lock sees to that. */
export interface StateStore {
  /** What was read at the start, or written last; undefined before the first write. */
  current(): State | undefined
  write(state: State): Promise<void>
}

export interface StateStoreDeps {
  readonly path: string
  readonly log: Log
  /** @defaultValue `writeAtomic` */
  readonly write?: typeof writeAtomic
}

const maxBytes = 1024 * 1024

/**
 * Steps from each version to the next: `migrations[n]` makes version n + 1 of version n. There is one version
 * so far.
 */
export const migrations: Readonly<Record<number, (state: object) => object>> = {}

/**
 * Opens the state. A damaged file is made up for by its copy. Throws `STATE_UNREADABLE` when both are damaged,
 * and `STATE_TOO_NEW` when a newer agent wrote it.
 */
export async function openState(deps: StateStoreDeps): Promise<StateStore> {
  const { path, log, write = writeAtomic } = deps
  const copy = `${path}.previous`
  let state = await load()

  async function load(): Promise<State | undefined> {
    await removeTemporaries(dirname(path))
    const main = await readState(path)
    if (main.found === 'state') return main.state
    const previous = await readState(copy)
    if (main.found === 'nothing' && previous.found === 'nothing') return undefined
    if (previous.found === 'state') {
      log.warn('the state file is damaged: its copy is used', { path, fault: main.found })
      return previous.state
    }
    throw new MooringError('STATE_UNREADABLE', { detail: dirname(path) })
  }

  return {
    current: () => state,
    async write(next) {
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o711 })
      } catch (error) {
        throw asStorageFault(error, dirname(path))
      }
      // The copy is the state before this one, and exists from the first write on.
      await write(copy, textOf(state ?? next), { mode: 0o600 })
      await write(path, textOf(next), { mode: 0o600 })
      state = next
    },
  }
}

/** Reads the state without opening it for writing; for commands beside a running agent. */
export async function peekState(path: string): Promise<State | undefined> {
  const main = await readState(path)
  if (main.found === 'state') return main.state
  const previous = await readState(`${path}.previous`)
  return previous.found === 'state' ? previous.state : undefined
}

function textOf(state: State): string {
  return `${JSON.stringify(state, null, 2)}\n`
}

type Found = { readonly found: 'nothing' | 'damage' } | { readonly found: 'state'; readonly state: State }

async function readState(path: string): Promise<Found> {
  const text = await readBounded(path, maxBytes)
  if (text === undefined) return { found: 'nothing' }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { found: 'damage' }
  }
  const migrated = migrate(value, path)
  return Value.Check(State, migrated) ? { found: 'state', state: migrated } : { found: 'damage' }
}

function migrate(value: unknown, path: string): unknown {
  let current = value
  while (typeof current === 'object' && current !== null && 'version' in current) {
    const { version } = current
    if (typeof version !== 'number' || version === stateVersion) return current
    if (version > stateVersion) {
      throw new MooringError('STATE_TOO_NEW', {
        detail: `${path} has version ${version}, this agent knows ${stateVersion}`,
      })
    }
    const step = migrations[version]
    if (step === undefined) return undefined
    current = step(current)
  }
  return current
}
