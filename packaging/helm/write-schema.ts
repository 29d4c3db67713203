import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { renderValuesSchema } from './values-schema.ts'

await writeFile(path.join(import.meta.dirname, 'chart/values.schema.json'), renderValuesSchema())
