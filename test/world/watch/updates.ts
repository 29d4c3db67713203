/** Updates of registry and configuration that istiod has counted, from the text of its `/metrics`. */
export function parseUpdates(text: string): number {
  return [...text.matchAll(/^pilot_inbound_updates\{[^}]*\} (\S+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  )
}
