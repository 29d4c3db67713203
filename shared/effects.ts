/** Runs effects, each under a name of the program's own list, and tells when each has happened. */
export interface Effects<Name extends string = string> {
  run<T>(name: Name, effect: () => T | Promise<T>): Promise<T>
}

export interface EffectsDeps<Name extends string> {
  /** Called after each effect that succeeded, before its caller goes on. */
  readonly after?: (name: Name) => void
}

/** The one passage through which effects go: tests kill a program behind each of its names. */
export function createEffects<Name extends string>(deps: EffectsDeps<Name> = {}): Effects<Name> {
  return {
    async run(name, effect) {
      const result = await effect()
      deps.after?.(name)
      return result
    },
  }
}
