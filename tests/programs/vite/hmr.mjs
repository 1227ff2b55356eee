// A browser on a page of Vite's dev server: an edit must reach it by hot reload.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { readArguments, run } from '../checks.mjs'

if (!process.env.APP_DIR) throw new Error('APP_DIR must name the folder that the server has')
const { url, caFile } = readArguments()
const main = join(process.env.APP_DIR, 'main.js')
const before = readFileSync(main, 'utf8')

// Chromium on Linux trusts what the certificate database in the home directory trusts.
const home = mkdtempSync(join(tmpdir(), 'adit-chromium-'))
if (caFile) {
  const database = join(home, '.pki/nssdb')
  mkdirSync(database, { recursive: true })
  const certutil = (...args) => execFileSync('certutil', ['-d', `sql:${database}`, ...args])
  certutil('-N', '--empty-password')
  certutil('-A', '-n', 'relay', '-t', 'C,,', '-i', caFile)
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  env: { ...process.env, HOME: home },
  args: [
    '--no-sandbox', // test runners are often root, where Chromium refuses its sandbox
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--host-resolver-rules=MAP * 127.0.0.1',
  ],
})
const page = await browser.newPage()
const sockets = []
const greeting = new Promise((heard) => {
  page.on('websocket', (socket) => {
    sockets.push(socket)
    socket.on('framereceived', ({ payload }) => heard(payload))
  })
})
const text = (wanted) =>
  page.waitForFunction((wanted) => document.querySelector('#message')?.textContent === wanted, wanted, {
    timeout: 10_000,
  })

await run({
  'the page shows its text and has its socket': async () => {
    await page.goto(url.href)
    await text('hello from vite')
    // Vite says itself, in the first message, that the socket is connected.
    assert.match(String(await greeting), /"connected"/)
  },

  // Where that socket fails, Vite's page quietly tries the dev server's own port instead.
  'hot reload is connected through the URL of the page': async () => {
    const where = sockets.map((socket) => new URL(socket.url()).host)
    assert.deepEqual(where, [url.host])
  },

  'an edit reaches the page without a reload': async () => {
    await page.evaluate(() => (window.marker = 'not reloaded'))
    writeFileSync(main, before.replace('hello', 'hello again'))
    await text('hello again from vite')
    assert.equal(await page.evaluate(() => window.marker), 'not reloaded')
  },
})

writeFileSync(main, before)
await browser.close()
rmSync(home, { recursive: true, maxRetries: 5 }) // Chromium's last helpers may still be writing
