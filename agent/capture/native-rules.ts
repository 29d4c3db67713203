import { olderScript, ownRules, removalScript, type SavedRules } from './saved-rules.ts'

/** Names of Istio's tables of the family inet in what `nft list tables` printed (tools/istio-nftables/pkg/constants). */
export function istioTables(listed: string): readonly string[] {
  return [...listed.matchAll(/^table inet (istio-proxy-[a-z]+)$/gm)].map(([, name = '']) => name)
}

// As `olderScript`: connections that are older than the capture are let be. Istio makes its table anew each time, so this
// comes after it.
const older = 'tcp flags & (fin | syn | rst | ack) != syn return comment "mooring-older"'

/** Input for `nft -f -` that sets those rules first, once Istio's own are there. */
export const nativeOlderScript = ['prerouting', 'output']
  .map((chain) => `insert rule inet istio-proxy-nat ${chain} ${older}\n`)
  .join('')

/** The rules of a capture in what a program showed. Native tables are Istio's as a whole. */
export function ownRulesIn({ variant, text }: SavedRules, interfaces: readonly string[]): readonly string[] {
  if (variant !== 'native') return ownRules(text, interfaces)
  return text.split('\n').flatMap((line) => line.trim() || [])
}

/** What takes them away, as input for the program that showed them; undefined when there is nothing. */
export function removalOf({ variant, text }: SavedRules, interfaces: readonly string[]): string | undefined {
  if (variant !== 'native') return removalScript(text, interfaces)
  const tables = istioTables(text.replaceAll(/ \{$/gm, ''))
  return tables.length === 0 ? undefined : tables.map((name) => `delete table inet ${name}\n`).join('')
}

/** What has to be set before Istio's rules. */
export function beforeIstio({ variant, text }: SavedRules): string | undefined {
  return variant === 'native' ? undefined : olderScript(text)
}
