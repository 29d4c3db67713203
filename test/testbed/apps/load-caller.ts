/** One kept connection's worth of a protocol: calls one after the other, never a retry. */
export interface LoadCaller {
  /** Makes one request and reads the answer to its end; rejects with a `LoadFailure`. */
  call(attempt: LoadAttempt): Promise<void>
  close(): void
}

export interface LoadAttempt {
  /** Aborted when the time for this request is over or the client is told to give up. */
  readonly signal: AbortSignal
  /** To be called when it is known who answers; `isNew` is false on a TCP connection that answered before. */
  answered(instance: string, isNew?: boolean): void
}

/** Where a caller calls. */
export interface LoadTarget {
  readonly host: string
  readonly port: number
  /** The name it asks for; the host, unless it is an address. */
  readonly authority: string
  readonly path: string
}

/** Why a request failed: a reset's system code, `HTTP_<status>`, `GRPC_<status>`, `RST_<code>`, `TRUNCATED`, … */
export class LoadFailure extends Error {
  readonly code: string
  readonly instance: string | undefined

  constructor(code: string, detail: string, instance?: string) {
    super(detail)
    this.code = code
    this.instance = instance
  }
}

/** Any error of a socket or stream as a failure. */
export function asLoadFailure(error: unknown, instance?: string): LoadFailure {
  if (error instanceof LoadFailure) return error
  const { code, cause, message } = error as NodeJS.ErrnoException
  // A stream of a broken HTTP/2 session says only that it was cancelled; the session's error is behind it.
  const behind = cause as NodeJS.ErrnoException | undefined
  return new LoadFailure(
    behind?.code ?? code ?? 'ERROR',
    behind?.message ?? message ?? String(error),
    instance,
  )
}
