// Chromium over HTTP/3 alone; which protocol it used, the page says itself.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chromium } from 'playwright-core'
import { readArguments, run } from '../checks.mjs'

const { url, caFile } = readArguments()
// QUIC wants a public authority, so this one's key is named.
const openssl = (args, input) => execFileSync('openssl', args, { input })
const key = openssl(['x509', '-in', caFile, '-noout', '-pubkey'])
const der = openssl(['pkey', '-pubin', '-outform', 'der'], key)
const pin = openssl(['dgst', '-sha256', '-binary'], der).toString('base64')

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox', // test runners are often root, where Chromium refuses its sandbox
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--host-resolver-rules=MAP * 127.0.0.1',
    '--enable-quic',
    `--origin-to-force-quic-on=${url.host}`,
    `--ignore-certificate-errors-spki-list=${pin}`,
  ],
})
const page = await browser.newPage()
const protocols = (kind) =>
  page.evaluate((kind) => performance.getEntriesByType(kind).map((one) => one.nextHopProtocol), kind)

await run({
  'a page comes over HTTP/3': async () => {
    const response = await page.goto(new URL('/status/200', url).href)
    assert.equal(response.status(), 200)
    assert.deepEqual(await protocols('navigation'), ['h3'])
  },

  'fetches share the connection, up and down': async () => {
    const lengths = await page.evaluate(async () => {
      const get = async (length) => (await (await fetch(`/bytes/${length}`)).arrayBuffer()).byteLength
      const post = async () =>
        (await (await fetch('/continue', { method: 'POST', body: 'x'.repeat(300_000) })).json()).length
      return Promise.all([...Array(50).keys()].map(get).concat(post()))
    })
    assert.deepEqual(lengths, [...Array(50).keys(), 300_000])
    const seen = new Set(await protocols('resource'))
    seen.delete('') // what came from a cache
    assert.deepEqual([...seen], ['h3'])
  },

  'half a response is an error': async () => {
    const failed = await page.evaluate(() =>
      fetch('/half').then((response) => response.text()).then(() => false, () => true))
    assert.ok(failed)
  },
})

await browser.close()
