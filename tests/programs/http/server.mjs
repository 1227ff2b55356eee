// An HTTP/1.1 origin whose every path shows one thing that an origin may do, or do wrong.
// The first segment of the path chooses; a path is never decoded or normalised here.

import { createServer } from 'node:http'
import { Readable, Transform, pipeline } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

const gone = [] // the URL of every request whose answer could not be finished

const routes = {
  // What arrived, to the letter. Bytes above 127 in headers are read as Latin-1.
  async echo(req, res) {
    const body = await read(req)
    const { method, url, httpVersion: version, rawHeaders: headers, rawTrailers: trailers } = req
    json(res, { method, url, version, headers, trailers, body: body.toString('base64') })
  },

  status(req, res, code) {
    res.writeHead(Number(code)).end(`status ${code}\n`)
  },

  // Repeated, empty and non-ASCII headers, and names in capitals.
  headers(req, res) {
    const odd = ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Empty', '', 'X-CAPITALS', 'Yes', 'X-Latin', 'caf\xe9']
    res.writeHead(200, odd).end('headers\n')
  },

  bytes(req, res, total) {
    res.writeHead(200, { 'Content-Length': total })
    send(res, pattern(Number(total)))
  },

  // As /bytes, but in chunks of `piece` bytes.
  chunked(req, res, total, piece) {
    send(res, pattern(Number(total), Number(piece)))
  },

  // Nothing but a length where the method is HEAD.
  head(req, res) {
    routes.bytes(req, res, '1234')
  },

  range(req, res) {
    const whole = Buffer.concat([...pattern(1000)])
    res.setHeader('Accept-Ranges', 'bytes').setHeader('ETag', '"1000"')
    const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(req.headers.range) ?? []
    if (!first && !last) return res.end(whole)
    const from = first ? Number(first) : Math.max(0, 1000 - Number(last))
    const to = first && last ? Math.min(Number(last), 999) : 999
    if (from > to) return res.writeHead(416, { 'Content-Range': 'bytes */1000' }).end()
    const part = whole.subarray(from, to + 1)
    res.writeHead(206, { 'Content-Range': `bytes ${from}-${to}/1000`, 'Content-Length': part.length }).end(part)
  },

  // The pause lets a client see that the hint came by itself.
  async early(req, res) {
    res.writeEarlyHints({ link: '</style.css>; rel=preload; as=style', 'x-hint': 'one' })
    await sleep(300)
    res.end('after the hint\n')
  },

  async continue(req, res) {
    json(res, { continued: req.continued === true, length: (await read(req)).length })
  },

  'continue-refuse'(req, res) {
    res.writeHead(417, { Connection: 'close' }).end('refused unread\n')
  },

  trailers(req, res) {
    res.writeHead(200, { Trailer: 'X-Checksum, X-Twice' })
    res.write('trailers follow\n')
    res.addTrailers([['X-Checksum', 'abc123'], ['X-Twice', '1'], ['X-Twice', '2']])
    res.end()
  },

  async slow(req, res, ms) {
    await sleep(Number(ms))
    res.end('slow\n')
  },

  gone(req, res) {
    json(res, gone)
  },

  // Five hundred bytes of a thousand, and the connection is cut.
  half(req, res) {
    res.writeHead(200, { 'Content-Length': 1000 })
    cut(req, res)
  },

  // The same without a length: only the last chunk is missing.
  'half-chunked'(req, res) {
    cut(req, res)
  },

  reset(req) {
    req.socket.resetAndDestroy()
  },

  hangup(req) {
    req.socket.destroy()
  },

  garbage(req) {
    req.socket.end('this is not HTTP\r\n\r\n')
  },
}

// The pause lets the first part go through by itself: the cut then comes in mid-body for sure.
async function cut(req, res) {
  res.write(Buffer.concat([...pattern(500)]))
  await sleep(100)
  req.socket.destroy()
}

// `total` bytes in pieces, where byte i is i % 251: a prime, so no buffer size hides a shift.
function* pattern(total, piece = 65_536) {
  const period = Uint8Array.from({ length: 251 }, (_, i) => i)
  const block = Buffer.alloc(piece + 251, period)
  for (let at = 0; at < total; at += piece) {
    const start = at % 251
    yield block.subarray(start, start + Math.min(piece, total - at))
  }
}

function send(res, pieces) {
  pipeline(Readable.from(pieces), res, () => {}) // a client that left is told by `gone`
}

function json(res, value) {
  const text = JSON.stringify(value) + '\n'
  res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }).end(text)
}

async function read(req) {
  const pieces = []
  for await (const piece of req) pieces.push(piece)
  return Buffer.concat(pieces)
}

async function answer(req, res) {
  res.on('close', () => res.writableFinished || gone.push(req.url))
  const [, name, ...given] = req.url.split('?')[0].split('/')
  const route = Object.hasOwn(routes, name) ? routes[name] : (req, res) => routes.status(req, res, 404)
  try {
    await route(req, res, ...given)
  } catch {
    res.destroy() // the body broke off while it was read
  }
}

// `/upgrade`, to a protocol of our own: raw bytes come back in upper case.
function upgrade(req, socket, head) {
  socket.on('error', () => {})
  if (req.headers.upgrade !== 'adit-test') {
    socket.end('HTTP/1.1 426 Upgrade Required\r\nUpgrade: adit-test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    return
  }
  // With `?greet` the first bytes of the new protocol travel together with the 101.
  const greeting = req.url.endsWith('?greet') ? 'WELCOME' : ''
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: adit-test\r\nConnection: Upgrade\r\n\r\n${greeting}`)
  socket.unshift(head)
  const upperCase = new Transform({
    transform(bytes, _, done) {
      done(null, bytes.map((byte) => (byte >= 97 && byte <= 122 ? byte - 32 : byte)))
    },
  })
  pipeline(socket, upperCase, socket, () => {})
}

// The limits are so wide that only those of the tunnel are ever met.
const server = createServer({ maxHeaderSize: 1 << 20 }, answer)
server.maxHeadersCount = 0
server.on('upgrade', upgrade)
server.on('checkContinue', (req, res) => {
  if (!req.url.startsWith('/continue-refuse')) {
    req.continued = true
    res.writeContinue()
  }
  answer(req, res)
})
server.listen(Number(process.env.PORT || 0), '127.0.0.1', () => {
  console.log('listening', server.address().port)
})
