/** A part of a program, as npm says in CycloneDX. */
interface Component {
  readonly name: string
  readonly version: string
  readonly purl?: string
  readonly 'bom-ref'?: string
}

/** What `npm sbom --sbom-format cyclonedx` prints, as far as it is read here. */
export interface NpmSbom {
  readonly components: readonly Component[]
  readonly [field: string]: unknown
}

export interface SbomSubject {
  readonly name: string
  readonly version: string
  /** Seconds since 1970. */
  readonly epoch: number
  /** The packages of which a file went into the program, as `name@version`. */
  readonly packages: readonly string[]
  /** What carries the program, Bun or Node, as `name@version`. */
  readonly runtime: string
}

/**
 * The parts of one program (CycloneDX 1.5): the packages of which a file is in it, and its runtime. It holds no
 * serial number and no time of making, so the same program has the same list.
 */
export function programSbom(all: NpmSbom, subject: SbomSubject): object {
  const { name, version, epoch, packages, runtime } = subject
  const parts = [...new Set(packages)].toSorted().map((wanted) => {
    const found = all.components.find((one) => `${one.name}@${one.version}` === wanted)
    if (found === undefined) throw new Error(`npm sbom does not know ${wanted}`)
    return found
  })
  const [runtimeName, runtimeVersion] = runtime.split('@')
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      timestamp: new Date(epoch * 1000).toISOString(),
      component: { type: 'application', name, version, purl: `pkg:generic/${name}@${version}` },
    },
    components: [
      { type: 'platform', name: runtimeName, version: runtimeVersion, purl: `pkg:npm/${runtime}` },
      ...parts,
    ],
  }
}

/** The folder of the innermost package that a file belongs to. */
export function packageFolder(file: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0]
}
