// A listener that verifies with the providers' own packages, at /github, /stripe, /svix, /standard and /shopify: 204
// when they accept an event, 400 with their reason when not. The secret is in SECRET.

import http from 'node:http'
import { createRequire } from 'node:module'
import { verify } from '@octokit/webhooks-methods'
import { shopify } from './shopify.mjs'

const require = createRequire(import.meta.url)
const standardwebhooks = require('standardwebhooks')
const Stripe = require('stripe')
const svix = require('svix')

const secret = process.env.SECRET
const whsec = `whsec_${secret}`
const shop = shopify(secret)

const accept = {
  '/github': async (headers, body) => {
    if (!(await verify(secret, body, headers['x-hub-signature-256']))) throw new Error('octokit: no')
  },
  '/stripe': (headers, body) =>
    Stripe.webhooks.constructEvent(body, headers['stripe-signature'], whsec),
  '/svix': (headers, body) => new svix.Webhook(whsec).verify(body, headers),
  '/standard': (headers, body) => new standardwebhooks.Webhook(whsec).verify(body, headers),
  '/shopify': async (_headers, body, rawRequest) => {
    const checked = await shop.webhooks.validate({ rawBody: body, rawRequest })
    if (!checked.valid) throw new Error(`shopify: ${checked.reason}`)
  },
}

const server = http.createServer(async (request, response) => {
  const pieces = []
  for await (const piece of request) pieces.push(piece)
  try {
    await accept[request.url](request.headers, Buffer.concat(pieces).toString(), request)
    response.writeHead(204).end()
  } catch (error) {
    response.writeHead(400).end(error.message)
  }
})
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  console.log('listening', server.address().port)
})
