import type { EnrolmentRecord, OperatorRecord, PoolRecord, TokenRecord, VmRecord } from './records.ts'

/** What each kind of resource holds. */
export interface Kinds {
  pool: PoolRecord
  token: TokenRecord
  vm: VmRecord
  operator: OperatorRecord
  enrolment: EnrolmentRecord
}
export type Kind = keyof Kinds

/** A stored resource. `version` changes at every write and guards against lost updates. */
export interface Stored<K extends Kind = Kind> {
  readonly kind: K
  readonly name: string
  readonly version: string
  readonly value: Kinds[K]
}

/** One write of a commit; `version` absent means "must not exist yet". */
export type Write = {
  [K in Kind]:
    | { readonly put: K; readonly name: string; readonly value: Kinds[K]; readonly version?: string }
    | { readonly remove: K; readonly name: string; readonly version?: string }
}[Kind]

/**
 * Where the controller keeps what it must not forget. Two ship: SQLite (standalone) and the Kubernetes API.
 * All methods are safe to repeat. A version that does not match throws `CONFLICT`.
 */
export interface ResourceStore {
  get<K extends Kind>(kind: K, name: string): Promise<Stored<K> | undefined>
  list<K extends Kind>(kind: K): Promise<readonly Stored<K>[]>
  /**
   * SQLite: all or nothing. Kubernetes: in the order given, so write first what makes a repetition
   * harmless (the use of a token before the VM that it admits; both carry the same key).
   */
  commit(writes: readonly Write[]): Promise<void>
  /** Called after every commit, with the names that changed; never with a reason to trust their content. */
  onChange(listener: (kind: Kind, name: string) => void): () => void
  close(): Promise<void>
}
