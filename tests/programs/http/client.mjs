// What a visitor sees over HTTP/2 of the origin beside this file, which itself speaks HTTP/1.1.
// http: URLs are reached by HTTP/2 without TLS, with prior knowledge.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import { readArguments, run } from '../checks.mjs'

const { NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_CANCEL } = http2.constants
const args = readArguments({ websocket: { type: 'string' } })

// A session with the URL's host, which is always on this machine.
function connect({ href, hostname, protocol, port }) {
  const socket = { host: '127.0.0.1', port: Number(port || (protocol === 'https:' ? 443 : 80)) }
  const secure = { ...socket, servername: hostname, ca: args.ca, ALPNProtocols: ['h2'] }
  const session = http2.connect(href, {
    createConnection: () => (protocol === 'https:' ? tls.connect(secure) : net.connect(socket)),
  })
  session.on('error', () => {}) // each stream tells by itself
  return session
}

let session = connect(args.url)
const request = (headers, options) => {
  if (session.closed || session.destroyed) session = connect(args.url)
  return session.request(headers, options)
}

// One whole exchange; `code` is how the stream ended, 0 where it ended well.
function ask(path, { body, trailers, ...headers } = {}) {
  return new Promise((resolve, reject) => {
    const stream = request(
      { ':path': path, ':method': body ? 'POST' : 'GET', ...headers },
      { endStream: !body, waitForTrailers: Boolean(trailers) },
    )
    const got = { hints: [], body: [] }
    stream.on('headers', (head) => got.hints.push({ head, at: Date.now() }))
    stream.on('response', (head) => Object.assign(got, { head, status: head[':status'], at: Date.now() }))
    stream.on('data', (piece) => got.body.push(piece))
    stream.on('trailers', (trailers) => (got.trailers = trailers))
    stream.on('wantTrailers', () => stream.sendTrailers(trailers))
    stream.on('error', (error) => (got.error = error))
    stream.on('close', () => {
      if (!got.head) return reject(got.error ?? new Error(`no response, code ${stream.rstCode}`))
      resolve({ ...got, code: stream.rstCode, body: Buffer.concat(got.body) })
    })
    if (body) stream.end(body)
  })
}

async function askJson(path, options) {
  const { status, body, code } = await ask(path, options)
  assert.deepEqual({ status, code }, { status: 200, code: NGHTTP2_NO_ERROR })
  return JSON.parse(body)
}

function assertPattern(body, length) {
  assert.equal(body.length, length)
  const wrong = body.findIndex((byte, i) => byte !== i % 251)
  assert.equal(wrong, -1, `byte ${wrong} is wrong`)
}

// The session must outlive it: one broken exchange is no reason to break the others.
async function assertCut(path) {
  const { status, body, code } = await ask(path)
  assert.equal(status, 200)
  assert(body.length <= 500, `${body.length} bytes came`)
  assert.notEqual(code, NGHTTP2_NO_ERROR, 'it ended as if it were whole')
  // This code is our own library's, for an end that came before the announced length.
  assert.notEqual(code, NGHTTP2_PROTOCOL_ERROR, 'it ended well, but too early')
  assert(!session.closed, 'the whole session was closed')
}

async function assertBadGateway(path) {
  const { status, code } = await ask(path)
  assert.deepEqual({ status, code }, { status: 502, code: NGHTTP2_NO_ERROR })
  assert(!session.closed, 'the whole session was closed')
}

const checks = {
  'the path and query arrive to the letter': async () => {
    const path = "/echo/a%2Fb/../%7e//c;d=1/'?q=%20+&&=%C3%A9&x=[1]"
    assert.equal((await askJson(path)).url, path)
  },

  'a body of 1 MiB arrives whole': async () => {
    const body = randomBytes(1 << 20)
    const echo = await askJson('/echo', { body })
    assert(body.equals(Buffer.from(echo.body, 'base64')), 'it is not the same')
  },

  'a response with a length comes whole': async () => {
    const { head, body, code } = await ask('/bytes/5000000')
    assert.equal(head['content-length'], '5000000')
    assert.equal(code, NGHTTP2_NO_ERROR)
    assertPattern(body, 5_000_000)
  },

  'a chunked response comes whole': async () => {
    const { body, code } = await ask('/chunked/100000/777')
    assert.equal(code, NGHTTP2_NO_ERROR)
    assertPattern(body, 100_000)
  },

  'HEAD brings the length and no body': async () => {
    const { status, head, body, code } = await ask('/head', { ':method': 'HEAD' })
    assert.deepEqual([status, head['content-length'], body.length, code], [200, '1234', 0, NGHTTP2_NO_ERROR])
  },

  'repeated, empty and non-ASCII response headers come as sent': async () => {
    const { head } = await ask('/headers')
    const { 'set-cookie': cookies, 'x-empty': empty, 'x-capitals': capitals, 'x-latin': latin } = head
    assert.deepEqual([cookies, empty, capitals, latin], [['a=1', 'b=2'], '', 'Yes', 'caf\xe9'])
  },

  'fifty exchanges go on at once in one session': async () => {
    const began = Date.now()
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(`/slow/500?${i}`)))
    assert(answers.every(({ status }) => status === 200), 'not every status is 200')
    const took = Date.now() - began
    assert(took < 5_000, `they took ${took} ms, so they waited for each other`)
  },

  '103 Early Hints come before the response': async () => {
    const { hints, status, at } = await ask('/early')
    assert.equal(status, 200)
    assert.deepEqual(hints.map(({ head }) => head[':status']), [103])
    assert.equal(hints[0].head.link, '</style.css>; rel=preload; as=style')
    assert(at - hints[0].at > 150, `only ${at - hints[0].at} ms before it`)
  },

  'trailers of the response come': async () => {
    const { trailers, body } = await ask('/trailers', { te: 'trailers' })
    assert.equal(body.toString(), 'trailers follow\n')
    assert.equal(trailers?.['x-checksum'], 'abc123')
    assert.equal(trailers['x-twice'], '1, 2')
  },

  'trailers of the request arrive': async () => {
    const echo = await askJson('/echo', { body: 'body', trailers: { 'x-sum': 'abc' }, trailer: 'x-sum' })
    assert.deepEqual(echo.trailers.map((word) => word.toLowerCase()), ['x-sum', 'abc'])
  },

  'a response cut before its length resets the stream': () => assertCut('/half'),
  'a chunked response cut in the middle resets the stream': () => assertCut('/half-chunked'),
  'an origin that resets before its head is a 502': () => assertBadGateway('/reset'),
  'an origin that hangs up before its head is a 502': () => assertBadGateway('/hangup'),
  'an origin that speaks no HTTP is a 502': () => assertBadGateway('/garbage'),

  'the origin notices within 2 s that a request was cancelled': async () => {
    const path = `/slow/30000?${randomBytes(8).toString('hex')}`
    const stream = request({ ':path': path })
    await sleep(300)
    assert(!(await askJson('/gone')).includes(path), 'it was dropped too early')
    stream.close(NGHTTP2_CANCEL)
    const deadline = Date.now() + 2_000
    while (!(await askJson('/gone')).includes(path)) {
      assert(Date.now() < deadline, 'it did not')
      await sleep(50)
    }
  },
}

// RFC 8441: a WebSocket in one stream of HTTP/2.
const webSocketChecks = (session) => ({
  'the server offers extended CONNECT': async () => {
    const [settings] = await once(session, 'remoteSettings')
    assert.equal(settings.enableConnectProtocol, true)
  },

  'a WebSocket opens, is spoken first to, echoes and closes in a stream': async () => {
    const { stream, status } = await open(session, '/greet')
    assert.equal(status, 200)
    assert.deepEqual(await read(stream, 9), Buffer.from('\x81\x07welcome', 'latin1'))
    stream.write(frame(1, Buffer.from('hello')))
    assert.deepEqual(await read(stream, 7), Buffer.from('\x81\x05hello', 'latin1'))
    const normal = Buffer.from([1000 >> 8, 1000 & 255])
    stream.write(frame(8, normal))
    assert.deepEqual(await read(stream, 4), Buffer.concat([Buffer.from([0x88, 2]), normal]))
    stream.end()
    await new Promise((closed) => stream.on('close', closed).resume())
    assert.equal(stream.rstCode, NGHTTP2_NO_ERROR)
  },

  'a WebSocket that the origin refuses has its status': async () => {
    const { stream, status } = await open(session, '/nowhere')
    stream.close()
    assert.equal(status, 403)
  },
})

function open(session, path) {
  const stream = session.request(
    { ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13' },
    { endStream: false },
  )
  return new Promise((resolve, reject) => {
    stream.on('response', (head) => resolve({ stream, status: head[':status'] }))
    stream.on('error', reject)
  })
}

// A client's frame is masked, a server's is not (RFC 6455, section 5.3).
function frame(opcode, payload) {
  const mask = randomBytes(4)
  const head = Buffer.from([0x80 | opcode, 0x80 | payload.length])
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i % 4])])
}

async function read(stream, length) {
  for (;;) {
    const bytes = stream.read(length)
    if (bytes) return bytes
    if (stream.destroyed) throw new Error(`closed with code ${stream.rstCode}`)
    await new Promise((more) => stream.once('readable', more).once('close', more))
  }
}

await run(checks)
session.close()
if (args.websocket) {
  const session = connect(new URL(args.websocket))
  await run(webSocketChecks(session))
  session.close()
} else {
  console.log('skip a WebSocket in a stream: no --websocket URL given')
}
// A broken peer may leave a stream open for ever; the verdict is known.
process.exit()
