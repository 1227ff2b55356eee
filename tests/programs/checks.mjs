// What the Node clients share: their arguments, and how a check is reported.

import { readFileSync } from 'node:fs'
import { parseArgs, stripVTControlCharacters } from 'node:util'

const LIMIT = 20_000 // ms for one check, far more than any needs

// `URL [--ca FILE]` and what else a client takes.
export function readArguments(options = {}) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { ca: { type: 'string' }, ...options },
  })
  if (positionals.length !== 1) throw new Error('exactly one URL is needed')
  const url = new URL(positionals[0])
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  return { ...values, url, port, ca: values.ca && readFileSync(values.ca), caFile: values.ca }
}

// Runs every check, those after a failed one too; the process then ends with 0 if all hold.
// A check is a function, and its key is the sentence that must hold.
export async function run(checks) {
  for (const [sentence, check] of Object.entries(checks)) {
    try {
      await within(LIMIT, check())
      console.log('ok  ', sentence)
    } catch (error) {
      process.exitCode = 1
      console.log(`FAIL ${sentence}: ${stripVTControlCharacters(error.message)}`)
    }
  }
}

export async function within(ms, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
