/** When a machine reached a point of its boot. */
export interface Stamp {
  readonly phase: string
  /** Milliseconds since power-on. */
  readonly ms: number
  /** What it said on its console. */
  readonly line: string
}

export interface Landmark {
  readonly phase: string
  readonly pattern: RegExp
}

/** The points of every boot, in their order. */
export const landmarks: readonly Landmark[] = [
  { phase: 'kernel', pattern: /Linux version \d/ },
  { phase: 'initramfs', pattern: /Run \/init as init process|Loading, please wait/ },
  { phase: 'systemd', pattern: /systemd\[1\]: systemd \d+.* running in system mode|Welcome to/ },
  { phase: 'cloud-init local', pattern: /Cloud-init v\. \S+ running 'init-local'/ },
  {
    phase: 'network',
    pattern:
      /Reached target (\S+ - )?[Nn]etwork(-online\.target)? is Online|Reached target network-online\.target/,
  },
  { phase: 'cloud-init config', pattern: /Cloud-init v\. \S+ running 'modules:config'/ },
  { phase: 'login', pattern: / login: |Reached target (\S*multi-user\.target|Multi-User System)/ },
  { phase: 'cloud-init final', pattern: /Cloud-init v\. \S+ finished at/ },
  { phase: 'booted', pattern: /systemd\[1\]: Startup finished in/ },
]

export interface Timeline {
  readonly stamps: readonly Stamp[]
  /** Takes a line of the console, `ms` after power-on. */
  take(line: string, ms: number): void
  has(phase: string): boolean
}

/** Notes the first line of one boot that shows each of the points. */
export function createTimeline(points: readonly Landmark[] = landmarks): Timeline {
  const stamps: Stamp[] = []
  const has = (phase: string) => stamps.some((stamp) => stamp.phase === phase)
  return {
    stamps,
    has,
    take(line, ms) {
      for (const { phase, pattern } of points)
        if (pattern.test(line) && !has(phase)) stamps.push({ phase, ms: Math.round(ms), line: line.trim() })
    },
  }
}
