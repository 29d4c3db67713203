import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { run } from '../tools/command.ts'

/** Relative to the project: the programs that run on Node. */
export type NodeEntry = 'controller/main.ts' | 'cli/main.ts' | 'agent/main.ts'

const flags = [
  '--target=node',
  '--format=esm',
  // Names stay: traces of errors are read by people.
  '--minify-whitespace',
  '--minify-syntax',
  '--define=__dirname="/"',
  '--define=__filename="/main.mjs"',
  // Packages with native parts work without them, and whether those could be built must not show in what is shipped.
  '--external=*.node',
  '--external=cpu-features',
] as const

/** Puts a program and all that it imports into one file; returns the files that went in. */
export async function bundleForNode(
  entry: NodeEntry,
  out: string,
  { project, bun }: { readonly project: string; readonly bun: string },
): Promise<readonly string[]> {
  await mkdir(path.dirname(out), { recursive: true })
  const folder = await mkdtemp(path.join(path.dirname(out), '.making-'))
  try {
    const [made, metafile] = [path.join(folder, 'main.mjs'), path.join(folder, 'inputs.json')]
    await run(bun, ['build', ...flags, `--metafile=${metafile}`, entry, `--outfile=${made}`], {
      cwd: project,
    })
    const { inputs } = JSON.parse(await readFile(metafile, 'utf8')) as { inputs: object }
    await rename(made, out)
    return Object.keys(inputs).sort()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
