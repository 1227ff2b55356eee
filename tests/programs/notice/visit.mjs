// A browser before the first page of a tunnel, when its relay shows the notice.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { readArguments, run } from '../checks.mjs'

const { url, caFile } = readArguments()

// Chromium on Linux trusts what the certificate database in the home directory trusts.
const home = mkdtempSync(join(tmpdir(), 'adit-chromium-'))
const database = join(home, '.pki/nssdb')
mkdirSync(database, { recursive: true })
const certutil = (...args) => execFileSync('certutil', ['-d', `sql:${database}`, ...args])
certutil('-N', '--empty-password')
certutil('-A', '-n', 'relay', '-t', 'C,,', '-i', caFile)

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
const page = await browser.newPage({ colorScheme: process.env.DARK ? 'dark' : 'light' })
const problems = []
page.on('console', (message) => {
  if (message.type() === 'error') problems.push(message.text())
})
const wanted = new URL('/a%20b?c=d&e=%2F+f', url).href
const onPage = (text) => page.locator('body', { hasText: text }).waitFor({ timeout: 10_000 })

await run({
  'a first visit sees the notice': async () => {
    const response = await page.goto(wanted)
    assert.equal(response.status(), 200)
    assert.equal(response.headers()['adit-notice'], '1')
    await page.getByRole('heading', { name: `You are about to visit ${url.hostname}` }).waitFor()
    const style = await page.evaluate(() => getComputedStyle(document.body).display)
    assert.equal(style, 'grid', 'the policy lets the style in')
    assert.deepEqual(problems, [])
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT })
  },
  'its button leads on to the same URL': async () => {
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.waitForURL(wanted)
    await onPage('GET /a%20b?c=d&e=%2F+f')
    const cookies = await page.context().cookies()
    const [cookie, ...others] = cookies
    assert.equal(others.length, 0)
    assert.equal(cookie.name, '__Host-adit-notice')
    assert.equal(cookie.domain, url.hostname)
    assert.ok(cookie.secure && cookie.httpOnly)
  },
  'no visit after it sees it': async () => {
    const response = await page.goto(new URL('/again', url).href)
    assert.equal(response.headers()['adit-notice'], undefined)
    await onPage('GET /again')
  },
  'what a page fetches never meets it': async () => {
    await page.context().clearCookies()
    const text = await page.evaluate(() => fetch('/fetched').then((response) => response.text()))
    assert.match(text, /^GET \/fetched\n/)
  },
  'a link from elsewhere does not lead past it': async () => {
    await page.goto(wanted)
    const link = await page.evaluate(() => {
      const form = document.querySelector('form')
      return `${form.action}?${new URLSearchParams(new FormData(form))}`
    })
    await page.goto('about:blank')
    const response = await page.goto(link)
    assert.equal(response.headers()['adit-notice'], '1')
    assert.equal(response.status(), 200)
    await page.getByRole('button').waitFor()
  },
})

await browser.close()
rmSync(home, { recursive: true, maxRetries: 5 }) // Chromium's last helpers may still be writing
