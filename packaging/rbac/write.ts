#!/usr/bin/env node
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { renderTemplate } from './template.ts'

const folder = path.resolve(import.meta.dirname, '../helm/chart/templates')
await mkdir(folder, { recursive: true })
await writeFile(path.join(folder, 'rbac.yaml'), renderTemplate())
