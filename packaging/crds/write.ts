#!/usr/bin/env node
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { renderDefinitions } from './definitions.ts'

const folder = path.resolve(import.meta.dirname, '../helm/crds')
await mkdir(folder, { recursive: true })
for (const [name, text] of renderDefinitions()) await writeFile(path.join(folder, name), text)
