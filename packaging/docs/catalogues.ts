#!/usr/bin/env node
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { conditionCatalogue, conditionTypes } from '../../shared/conditions.ts'
import { type ErrorCode, errorCatalogue } from '../../shared/error-catalogue.ts'

const made = 'This page is made from'

/** docs/errors.md: every code with its meaning and what to do. */
export function renderErrors(): string {
  const codes = Object.keys(errorCatalogue) as ErrorCode[]
  const sections = codes.toSorted().map((code) => {
    const { title, fix, status, retryable } = errorCatalogue[code]
    const where = status === 0 ? 'on the machine itself, it does not cross the network' : `HTTP ${status}`
    const again = retryable ? 'yes, the same request may succeed later' : 'no, something has to change first'
    return [
      `## ${code}`,
      '',
      `**${title}.**`,
      '',
      `- What to do: ${fix}`,
      `- Seen: ${where}`,
      `- Try again: ${again}`,
    ]
  })
  return page([
    '# Errors',
    '',
    'Every error that Mooring reports has one of these codes, in the log, in the answers of the interface',
    '(problem+json, RFC 9457: `code`), in the conditions of a VM and on the command line. A code is never given',
    'another meaning.',
    '',
    `${made} \`shared/error-catalogue.ts\` by \`node packaging/docs/catalogues.ts\`; a test compares them.`,
    ...sections.flatMap((lines) => ['', ...lines]),
  ])
}

/** docs/conditions.md: every condition of a VM, in the order in which a cause is looked for. */
export function renderConditions(): string {
  const sections = conditionTypes.map((type) => {
    const { title, from } = conditionCatalogue[type]
    return [`## ${type}`, '', `**${title}.** Found out by the ${from}.`]
  })
  return page([
    '# Conditions',
    '',
    'What is true of a VM, in the standard form of Kubernetes conditions: `type`, `status` (`True`, `False`,',
    '`Unknown`), `reason` (CamelCase, or a code of [errors.md](errors.md)), `message`, and since when. When a VM is',
    'not ready, the first condition of this list that is not `True` is the cause; `mooring vm explain ID` says so in',
    'words.',
    '',
    `${made} \`shared/conditions.ts\` by \`node packaging/docs/catalogues.ts\`; a test compares them.`,
    ...sections.flatMap((lines) => ['', ...lines]),
  ])
}

function page(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`
}

if (import.meta.main) {
  const folder = path.resolve(import.meta.dirname, '../../docs')
  await writeFile(path.join(folder, 'errors.md'), renderErrors())
  await writeFile(path.join(folder, 'conditions.md'), renderConditions())
}
