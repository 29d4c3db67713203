import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { parse } from 'yaml'
import { errorText, MooringError } from '../shared/errors.ts'
import type { Secret } from '../shared/secret.ts'
import { parseToken } from './settings.ts'

const Fields = Type.Record(Type.String(), Type.Unknown())

/** As much of a kubeconfig as says who somebody is (Kubernetes, client-go tools/clientcmd/api/v1). */
const Kubeconfig = Type.Object({
  'current-context': Type.Optional(Type.String()),
  contexts: Type.Array(Type.Object({ name: Type.String(), context: Fields })),
  users: Type.Array(Type.Object({ name: Type.String(), user: Fields })),
})

/**
 * The token of a kubeconfig, or the absolute path of the file that it is in. A program that makes tokens is not run,
 * and a client certificate is for the API server alone. Throws `CONFIG_INVALID`.
 */
export async function readKubeconfigToken(
  file: string,
  contextName: string | undefined,
): Promise<{ readonly token: Secret } | { readonly path: string }> {
  const tree = await readTree(file)
  const { contexts, users } = tree
  const wanted = contextName ?? tree['current-context'] ?? ''
  const userName = contexts.find(({ name }) => name === wanted)?.context?.user
  const user = users.find(({ name }) => name === userName)?.user
  if (user === undefined) throw invalid(file, `context "${wanted}" names no user`)
  // As kubectl has it: the file counts before the token beside it.
  const { token, tokenFile } = user
  if (typeof tokenFile === 'string') return { path: path.resolve(path.dirname(file), tokenFile) }
  if (typeof token === 'string') return { token: parseToken(token, file) }
  throw invalid(
    file,
    `user "${String(userName)}" has no token; one is made by: kubectl create token ACCOUNT --audience mooring | mooring login --token-file -`,
  )
}

async function readTree(file: string) {
  let tree: unknown
  try {
    tree = parse(await readFile(file, 'utf8'), { maxAliasCount: 100 })
  } catch (error) {
    throw invalid(file, errorText(error).split('\n')[0] ?? '', error)
  }
  if (Value.Check(Kubeconfig, tree)) return tree
  throw invalid(file, 'it is no kubeconfig')
}

function invalid(file: string, why: string, cause?: unknown): MooringError {
  return new MooringError('CONFIG_INVALID', { detail: `${file}: ${why}`, cause })
}
