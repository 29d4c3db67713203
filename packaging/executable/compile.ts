import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { run } from '../tools/command.ts'

export const entry = 'packaging/executable/entry.ts'

/** What makes two builds of the same sources the same, wherever they are made. */
export const flags = [
  '--compile',
  '--minify',
  '--format=esm',
  // Parsed once, here: it starts sooner, and the text of the program is not kept in memory.
  '--bytecode',
  // What is imported late is loaded late.
  '--splitting',
  // Packages that ask where they lie are told the same in every checkout.
  '--define=__dirname="/"',
  '--define=__filename="/mooring-agent"',
  // It must not matter in which folder the agent is started.
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
  // The agent waits nearly all of its life: memory counts for more than the speed of its code.
  '--compile-exec-argv=--smol',
] as const

export interface CompileDeps {
  /** The project's root. */
  readonly project: string
  /** Bun, for this machine. */
  readonly bun: string
  /** Bun for the machine that the executable is for, and its name there; absent for this machine. */
  readonly foreign?: { readonly target: string; readonly runtime: string }
}

/** Compiles the agent into the file `out`, and returns the files that went in. */
export async function compileAgent(out: string, deps: CompileDeps): Promise<readonly string[]> {
  const { project, bun, foreign } = deps
  await mkdir(path.dirname(out), { recursive: true })
  const folder = await mkdtemp(path.join(path.dirname(out), '.making-'))
  try {
    // The name goes into the executable, so it is the same one always.
    const made = path.join(folder, 'mooring-agent')
    const metafile = path.join(folder, 'inputs.json')
    const target =
      foreign === undefined
        ? []
        : [`--target=${foreign.target}`, `--compile-executable-path=${foreign.runtime}`]
    const args = ['build', ...flags, ...target, `--metafile=${metafile}`, entry, `--outfile=${made}`]
    await run(bun, args, { cwd: project })
    const { inputs } = JSON.parse(await readFile(metafile, 'utf8')) as { inputs: object }
    // Renamed at the end: an agent that runs from the old file goes on with it.
    await rename(made, out)
    return Object.keys(inputs).sort()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
