/** A file that istiod could not take in: as long as it lies there, istiod reads no other either. */
export interface Refusal {
  readonly file: string
  readonly why: string
}

export interface ReloadReport {
  /** Another istiod starts: what the last one said no longer counts. */
  begin(): void
  /** Takes one line of istiod's log; answers the refusal that it tells of. */
  line(line: string): Refusal | undefined
  /** The refusal that ended the last reload. */
  rejected(): Refusal | undefined
}

/** Reads from istiod's log how reloading its folder went (istio pkg/kube/krt/files/files.go). */
export function reloadReport(): ReloadReport {
  let last: Refusal | undefined
  return {
    begin() {
      last = undefined
    },
    line(line) {
      if (line.includes('Triggering reload of file configuration')) last = undefined
      const [, file, why] = /Failed to (?:parse|readOnce) (\/.*?\.ya?ml): (.*)$/.exec(line) ?? []
      if (file === undefined || why === undefined) return undefined
      last = { file, why }
      return last
    },
    rejected: () => last,
  }
}
