// Builds the page into dist, which is committed so that building the agent needs no Node. With --check it
// only says whether dist is what the sources make.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { build } from 'esbuild'

const at = (path) => new URL(path, import.meta.url)
const made = await build({
  entryPoints: [at('src/main.tsx').pathname],
  outfile: 'page.js',
  bundle: true,
  minify: true,
  write: false,
  target: 'es2022',
  format: 'esm',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
})
const files = {
  'index.html': readFileSync(at('src/index.html'), 'utf8'),
  'page.css': readFileSync(at('src/page.css'), 'utf8'),
  'page.js': made.outputFiles[0].text,
}
if (process.argv.includes('--check')) {
  const stale = Object.keys(files).filter((name) => readFileSync(at(`dist/${name}`), 'utf8') !== files[name])
  if (stale.length) {
    console.error(`dist is not what the sources make: ${stale.join(', ')}. npm run build makes it anew.`)
    process.exit(1)
  }
} else {
  mkdirSync(at('dist'), { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(at(`dist/${name}`), text)
}
