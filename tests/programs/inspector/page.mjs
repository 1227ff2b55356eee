// A browser on the inspector of an agent that serves the built-in echo.

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { readArguments, run } from '../checks.mjs'

const { url } = readArguments()
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
})
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, bypassCSP: true })
const page = await context.newPage()
page.setDefaultTimeout(15_000)
const faults = []
page.on('pageerror', (error) => faults.push(String(error)))
// A filter that is none is answered with 400.
page.on('console', (message) => message.type() === 'error' && !message.text().includes('400') && faults.push(message.text()))
page.on('dialog', (dialog) => faults.push(`a dialog: ${dialog.message()}`))

const entry = (method, path, { status = 200, type = 'application/json', sent, got = '', headers = [] } = {}) => ({
  startedDateTime: new Date().toISOString(),
  time: 12.5,
  request: {
    method,
    url: `https://shop.example.com${path}`,
    headers: [{ name: 'content-type', value: type }, { name: 'x-request-id', value: 'r-1' }, ...headers],
    postData: sent && { mimeType: type, text: sent },
  },
  response: status && { status, headers: [{ name: 'content-type', value: type }], content: { text: got } },
})
const send = async (method, path, body) => {
  const answer = await fetch(new URL(path, url), {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`)
}
const take = (entries) => send('POST', '/api/v1/har', { log: { entries } })
const rows = page.locator('.scroll tbody tr')
const row = (text) => rows.filter({ hasText: text }).first()
const shot = async (name) => {
  if (!process.env.SCREENSHOTS) return
  mkdirSync(process.env.SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`) })
}
const accessible = async (what) => {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  const told = violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 150)).join(' | ')}`)
  assert.deepEqual(told, [], what)
}

await run({
  'an empty page says so': async () => {
    await page.goto(url.href)
    await page.getByText('No requests yet').waitFor()
    await page.locator('.state.online').waitFor()
    await accessible('empty')
    await shot('empty')
  },

  'requests appear as they come': async () => {
    await take([
      entry('POST', '/hooks/stripe', {
        sent: '{"id":"evt_1","amount":12.50,"live":false,"items":[{"sku":"a"},{"sku":"b"}],"none":[]}',
        got: '{"received":true}',
        headers: [{ name: 'stripe-signature', value: 't=1,v1=00' }, { name: 'authorization', value: 'Bearer s3cret' }],
      }),
      entry('GET', '/products?page=2&sort=price', { status: 404, type: 'text/html', got: '<h1>no</h1>' }),
      entry('POST', '/form', { status: 503, type: 'application/x-www-form-urlencoded', sent: 'name=J%C3%BCrgen&age=7' }),
      entry('GET', '/feed', { type: 'application/xml', got: '<a><b>1</b><c/></a>' }),
      entry('GET', '/<img src=x onerror=alert(1)>'.replaceAll(' ', '%20').replaceAll('<', '%3C').replaceAll('>', '%3E'), {
        type: 'text/html',
        got: '<script>alert(1)</script><img src=x onerror=alert(2)>',
      }),
    ])
    await row('/hooks/stripe').waitFor()
    await page.waitForFunction(() => document.querySelectorAll('.scroll tbody tr').length === 5)
  },

  'the filter is applied by the agent': async () => {
    const filter = page.getByLabel('Filter')
    await filter.fill('status:>=400 -path:/form')
    await row('/products').waitFor()
    await page.waitForFunction(() => document.querySelectorAll('.scroll tbody tr').length === 1)
    await filter.fill('colour:red')
    await page.getByText('there is no colour:').waitFor()
    await filter.fill('body:evt_1')
    await row('/hooks/stripe').waitFor()
    await filter.fill('')
    await page.waitForFunction(() => document.querySelectorAll('.scroll tbody tr').length === 5)
    await filter.blur()
  },

  'a request is shown with its body as people read it': async () => {
    await row('/hooks/stripe').click()
    await page.getByRole('tab', { name: 'Request' }).click()
    const body = page.locator('[role=tabpanel] pre')
    await body.waitFor()
    assert.match(await body.innerText(), /\n {2}"amount": 12\.50,\n/)
    await page.getByRole('button', { name: 'hex', exact: true }).click()
    assert.match(await body.innerText(), /^000000 {2}7b 22 69 64/)
    await page.getByRole('button', { name: 'pretty', exact: true }).click()
    await accessible('a request')
    await shot('request')
    await row('/form').click()
    await page.getByRole('tab', { name: 'Request' }).click()
    await page.getByRole('cell', { name: 'Jürgen' }).waitFor()
  },

  'what visitors and origins send is never run': async () => {
    await row('/%3Cimg').click()
    await page.getByText('<script>alert(1)</script>').waitFor()
    assert.deepEqual(faults, [])
  },

  'parts of a form that are no text are shown beside those that are': async () => {
    const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
    const part = (head, body) => Buffer.concat([Buffer.from(`--b0\r\nContent-Disposition: form-data; ${head}\r\n\r\n`), body, Buffer.from('\r\n')])
    const body = Buffer.concat([
      part('name="title"', Buffer.from('Jürgen\r\n\r\nand a line')),
      part('name="photo"; filename="a.png"\r\nContent-Type: image/png', Buffer.from(png, 'base64')),
      Buffer.from('--b0--\r\n'),
    ])
    const form = entry('POST', '/upload', { status: 200, type: 'multipart/form-data; boundary=b0' })
    form.request.postData = { mimeType: 'multipart/form-data', text: body.toString('base64'), _encoding: 'base64' }
    await take([form])
    await row('/upload').click()
    await page.getByRole('tab', { name: 'Request' }).click()
    await page.getByRole('row', { name: /^title Jürgen\s+and a line$/ }).waitFor()
    await page.getByRole('row', { name: /^photo \(a\.png, image\/png\) 70 bytes\s+000000\s+89 50 4e 47/ }).waitFor()
    await accessible('a form with a file')
    await shot('form')
  },

  'pause stops the capture, whoever asks for it': async () => {
    const paused = async () => (await (await fetch(new URL('/api/v1/status', url))).json()).inspect.paused
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByText('Capture is paused: requests pass').waitFor()
    assert.equal(await paused(), true)
    await accessible('paused')
    await shot('paused')
    // Another page, or a key at the terminal.
    await send('POST', '/api/v1/pause', { paused: false })
    await page.getByText('Capture is paused: requests pass').waitFor({ state: 'detached' })
    await page.keyboard.press('p')
    await page.getByRole('button', { name: 'Resume' }).click()
    await page.getByRole('button', { name: 'Pause' }).waitFor()
    assert.equal(await paused(), false)
  },

  'keys choose, send again, mark': async () => {
    await row('/hooks/stripe').click()
    await page.getByRole('heading', { name: 'POST /hooks/stripe' }).waitFor()
    await page.keyboard.press('r')
    await row('replay of 1').waitFor()
    await page.keyboard.press('m')
    await row('★').waitFor()
    await page.getByLabel('Comment').fill('the odd one')
    await page.getByRole('button', { name: 'Note' }).click()
    await row('the odd one').waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('Escape')
    await page.locator('.detail').waitFor({ state: 'detached' })
    await page.keyboard.press('j')
    await page.getByText('POST /hooks/stripe').waitFor()
    await page.getByRole('tabpanel').getByText('authorization: Bearer s3cret').waitFor()
  },

  'an edited request is sent': async () => {
    await page.keyboard.press('e')
    await page.getByLabel('Path and query').fill('/edited?x=%2F')
    await page.getByRole('textbox', { name: 'Body' }).fill('{"edited":true}')
    // In a column that has too little room for all of it.
    const tabs = await page.getByRole('tablist').boundingBox()
    assert.ok(tabs.height > 20, `the tabs are ${tabs.height} high`)
    await accessible('the editor')
    await shot('edit')
    await page.getByRole('button', { name: 'Send' }).click()
    await row('/edited').click()
    await page.getByRole('tabpanel').getByText('POST /edited?x=%2F').waitFor()
    await page.getByRole('tabpanel').getByText('{"edited":true}').waitFor()
  },

  'two requests are compared': async () => {
    await page.getByRole('heading', { name: 'POST /edited' }).waitFor()
    await page.keyboard.press('d')
    await row('replay of 1').click()
    await page.locator('.diff .added').first().waitFor()
    assert.match(await page.locator('.diff .removed').first().innerText(), /edited/)
    await accessible('two that are compared')
    await shot('compare')
    await page.getByRole('tab', { name: 'Timing' }).click()
    await page.getByText('In all').waitFor()
    await accessible('timing')
  },

  'a request is copied as a command': async () => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    await page.getByRole('button', { name: 'curl' }).click()
    await page.getByText('Copied').waitFor()
    const copied = await page.evaluate(() => navigator.clipboard.readText())
    assert.match(copied, /^curl -X POST https:\/\/shop\.example\.com\/hooks\/stripe -H /)
    assert.doesNotMatch(copied, /x-request-id|content-length/)
  },

  'an archive goes out without secrets, and in again': async () => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Export' }).click(),
    ])
    const path = await download.path()
    const text = readFileSync(path, 'utf8')
    assert.ok(text.includes('evt_1') && JSON.parse(text).log.entries.length >= 7)
    assert.ok(!JSON.stringify(JSON.parse(text).log.entries[0].request.headers).includes('s3cret'))
    const before = await rows.count()
    await page.getByLabel('HAR file').setInputFiles(path)
    await page.waitForFunction((before) => document.querySelectorAll('.scroll tbody tr').length >= 2 * before, before)
  },

  'help, dark, and a narrow window': async () => {
    await page.keyboard.press('?')
    await page.getByRole('heading', { name: 'Keys' }).waitFor()
    await accessible('help')
    await shot('help')
    await page.keyboard.press('Escape')
    await page.emulateMedia({ colorScheme: 'dark' })
    await page.getByRole('tab', { name: 'Response' }).click()
    await accessible('dark')
    await shot('dark')
    await page.setViewportSize({ width: 390, height: 844 })
    await accessible('narrow')
    await shot('narrow')
    const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
    assert.ok(wide <= window, `${wide} > ${window}`)
  },

  'all is forgotten when asked': async () => {
    await page.setViewportSize({ width: 1440, height: 900 })
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.getByText('No requests yet').waitFor()
    assert.deepEqual(faults, [])
  },
})
await browser.close()
