// Webhooks signed with the providers' own packages, to an agent that lets only genuine ones through.
// Its rules are at /echo/github, /echo/stripe, /echo/svix, /echo/standard, /echo/shopify and /echo/discord, this one with
// the public key below; the origin is that of http/.

import { strict as assert } from 'node:assert'
import crypto from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import { createRequire } from 'node:module'
import { sign } from '@octokit/webhooks-methods'
import { verifyKey } from 'discord-interactions'
import { readArguments, run } from '../checks.mjs'
import { shopify } from './shopify.mjs'

const require = createRequire(import.meta.url)
const examples = require('@octokit/webhooks-examples')
const standardwebhooks = require('standardwebhooks')
const Stripe = require('stripe')
const svix = require('svix')

const { url, ca, secret } = readArguments({ secret: { type: 'string' } })
// What Standard Webhooks and Svix call a secret, of the same bytes as the text that others sign with.
const whsec = `whsec_${secret}`
// Test 1 of RFC 8032, section 7.1: discord-interactions verifies, and only Discord signs.
const discord = {
  private: crypto.createPrivateKey({
    key: Buffer.from(
      '302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      'hex',
    ),
    format: 'der',
    type: 'pkcs8',
  }),
  public: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
}
const agent = new (url.protocol === 'https:' ? https : http).Agent({ keepAlive: true, maxSockets: 8, ca })

async function post(path, headers, body) {
  const target = new URL(path, url)
  const lookup = (_name, options, done) =>
    options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)
  const { request } = url.protocol === 'https:' ? https : http
  return new Promise((resolve, reject) => {
    const sent = request(target, { method: 'POST', agent, lookup, headers }, async (response) => {
      const pieces = []
      for await (const piece of response) pieces.push(piece)
      resolve({ status: response.statusCode, text: Buffer.concat(pieces).toString() })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

// The request arrives as it was sent and called genuine; with another body it does not arrive.
async function accepted(provider, path, headers, body) {
  const told = await post(path, headers, body)
  assert.equal(told.status, 200, told.text)
  const echo = JSON.parse(told.text)
  assert.equal(Buffer.from(echo.body, 'base64').toString(), body)
  const at = echo.headers.findIndex((name) => name.toLowerCase() === 'adit-webhook-verified')
  assert.ok(echo.headers[at + 1]?.startsWith(provider), `told: ${echo.headers}`)
  const changed = await post(path, headers, `${body} `)
  assert.equal(changed.status, 401)
}

await run({
  'every example of @octokit/webhooks-examples, signed by octokit, arrives byte for byte': async () => {
    const all = examples.flatMap(({ name, examples }) => examples.map((event) => [name, event]))
    assert.ok(all.length > 300, `${all.length} examples`)
    const deliver = async ([name, event], number) => {
      const body = JSON.stringify(event)
      const headers = {
        'content-type': 'application/json',
        'x-github-event': name,
        'x-github-delivery': `delivery-${number}`,
        'x-hub-signature-256': await sign(secret, body),
      }
      const told = await post('/echo/github', headers, body)
      assert.equal(told.status, 200, `${name}: ${told.text}`)
      assert.equal(Buffer.from(JSON.parse(told.text).body, 'base64').toString(), body)
    }
    await Promise.all(all.map(deliver))
  },
  'what octokit signs is genuine': async () => {
    const body = '{"zen":"Ünicode \\u00e9 and\\n lines"}'
    const headers = { 'x-github-event': 'ping', 'x-hub-signature-256': await sign(secret, body) }
    await accepted('github', '/echo/github', headers, body)
  },
  'what stripe signs is genuine': async () => {
    const body = JSON.stringify({ id: 'evt_1', type: 'charge.failed' }, null, 2)
    const signature = Stripe.webhooks.generateTestHeaderString({ payload: body, secret: whsec })
    await accepted('stripe', '/echo/stripe', { 'stripe-signature': signature }, body)
  },
  'what stripe signed an hour ago is not': async () => {
    const timestamp = Math.floor(Date.now() / 1000) - 3600
    const payload = '{}'
    const signature = Stripe.webhooks.generateTestHeaderString({ payload, secret: whsec, timestamp })
    const told = await post('/echo/stripe', { 'stripe-signature': signature }, payload)
    assert.equal(told.status, 401)
  },
  'what svix signs is genuine': async () => {
    const body = '{"type":"user.created"}'
    const now = new Date()
    const headers = {
      'svix-id': 'msg_1',
      'svix-timestamp': Math.floor(now / 1000),
      'svix-signature': new svix.Webhook(whsec).sign('msg_1', now, body),
    }
    await accepted('svix', '/echo/svix', headers, body)
  },
  'what standardwebhooks signs is genuine': async () => {
    const body = '{"type":"user.created"}'
    const now = new Date()
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': Math.floor(now / 1000),
      'webhook-signature': new standardwebhooks.Webhook(whsec).sign('msg_1', now, body),
    }
    await accepted('standard-webhooks', '/echo/standard', headers, body)
  },
  'what discord-interactions accepts is genuine, and what it does not is not': async () => {
    const body = '{"id":"1","type":2,"data":{"name":"ünicode"}}'
    const time = String(Math.floor(Date.now() / 1000))
    const signature = crypto.sign(null, Buffer.from(time + body), discord.private).toString('hex')
    assert.equal(await verifyKey(body, signature, time, discord.public), true)
    assert.equal(await verifyKey(`${body} `, signature, time, discord.public), false)
    const headers = { 'x-signature-ed25519': signature, 'x-signature-timestamp': time }
    await accepted('discord', '/echo/discord', headers, body)
    const later = { ...headers, 'x-signature-timestamp': String(Number(time) + 1) }
    assert.equal(await verifyKey(body, signature, later['x-signature-timestamp'], discord.public), false)
    assert.equal((await post('/echo/discord', later, body)).status, 401)
  },
  'what @shopify/shopify-api accepts is genuine, and what it does not is not': async () => {
    const body = '{"id":820982911,"email":"jürgen@example.com"}'
    const headers = {
      'x-shopify-topic': 'orders/create',
      'x-shopify-hmac-sha256': crypto.createHmac('sha256', secret).update(body).digest('base64'),
      'x-shopify-shop-domain': 'sample.myshopify.com',
      'x-shopify-api-version': '2025-01',
      'x-shopify-webhook-id': 'b54557e4-bdd9-4b37-8a5f-bf7d70bcd043',
    }
    const validate = async (rawBody) => {
      const rawRequest = { headers, method: 'POST', url: '/' }
      return (await shopify(secret).webhooks.validate({ rawBody, rawRequest })).valid
    }
    assert.equal(await validate(body), true)
    assert.equal(await validate(`${body} `), false)
    await accepted('shopify', '/echo/shopify', headers, body)
  },
})
agent.destroy()
