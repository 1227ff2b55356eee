// Bodies as people read them.
import type { Message } from './api'

export interface Shown {
  kind: 'json' | 'xml' | 'form' | 'multipart' | 'image' | 'text' | 'hex' | 'empty'
  text: string
  pairs?: [string, string][]
  image?: string
}

const field = (message: Message, name: string) => message.headers.find(([is]) => is === name)?.[1] ?? ''
const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The body without its content encoding, as far as the browser knows that. */
export async function decoded(bytes: Uint8Array, message: Message): Promise<Uint8Array> {
  const encoding = field(message, 'content-encoding').toLowerCase()
  const known = encoding === 'gzip' || encoding === 'x-gzip' ? 'gzip' : encoding === 'deflate' ? 'deflate' : null
  if (!known || bytes.length === 0) return bytes
  try {
    const stream = new Blob([bytes.slice()]).stream().pipeThrough(new DecompressionStream(known))
    return new Uint8Array(await new Response(stream).arrayBuffer())
  } catch {
    return bytes
  }
}

export function pretty(bytes: Uint8Array, message: Message): Shown {
  if (bytes.length === 0) return { kind: 'empty', text: '' }
  const type = field(message, 'content-type')
  const mime = type.split(';')[0]?.trim().toLowerCase() ?? ''
  if (/^image\/(png|jpeg|gif|webp|avif|svg\+xml|x-icon)$/.test(mime)) {
    const blob = new Blob([bytes.slice()], { type: mime })
    return { kind: 'image', text: '', image: URL.createObjectURL(blob) }
  }
  const boundary = /boundary="?([^";]+)"?/i.exec(type)?.[1]
  if (mime.startsWith('multipart/') && boundary) return multipart(bytes, boundary)
  const text = textOf(bytes)
  if (text === null) return { kind: 'hex', text: hex(bytes) }
  if (/[/+]json$/.test(mime) || (!mime && /^\s*[[{]/.test(text))) return json(text)
  if (/[/+]xml$/.test(mime)) return { kind: 'xml', text: xml(text) }
  if (mime === 'application/x-www-form-urlencoded') {
    return { kind: 'form', text, pairs: [...new URLSearchParams(text)] }
  }
  return { kind: 'text', text }
}

export function textOf(bytes: Uint8Array): string | null {
  try {
    const text = utf8.decode(bytes)
    // A character that no text has.
    return text.includes('\0') ? null : text
  } catch {
    return null
  }
}

function json(text: string): Shown {
  try {
    JSON.parse(text)
  } catch (error) {
    return { kind: 'text', text: `${(error as Error).message}\n\n${text}` }
  }
  return { kind: 'json', text: indent(text) }
}

/** Only white space is changed: a number stays as it was written. */
function indent(text: string): string {
  let out = ''
  let depth = 0
  const line = () => `\n${'  '.repeat(depth)}`
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g)) {
    if (token === '{' || token === '[') {
      depth += 1
      out += token + line()
    } else if (token === '}' || token === ']') {
      depth -= 1
      out = /[[{]\s*$/.test(out) ? out.trimEnd() + token : out + line() + token
    } else if (token === ',') out += token + line()
    else if (token === ':') out += ': '
    else out += token
  }
  return out
}

function xml(text: string): string {
  let depth = 0
  const lines = []
  for (const [token] of text.replace(/>\s+</g, '><').matchAll(/<[^>]*>[^<]*/g)) {
    if (token.startsWith('</')) depth = Math.max(0, depth - 1)
    lines.push('  '.repeat(depth) + token.trim())
    if (/^<[^/!?][^>]*[^/]>/.test(token) || /^<\w>/.test(token)) depth += 1
  }
  return lines.length ? lines.join('\n') : text
}

/** Its parts, each as text if it is, and otherwise the beginning of its bytes. */
function multipart(bytes: Uint8Array, boundary: string): Shown {
  const pairs: [string, string][] = []
  // The last is cut off where only the beginning of the body was kept.
  for (const part of split(bytes, boundary)) {
    const end = find(part, '\r\n\r\n', 0)
    const head = new TextDecoder().decode(part.subarray(0, end < 0 ? part.length : end))
    const value = end < 0 ? new Uint8Array() : part.subarray(end + 4)
    const name = /\bname="([^"]*)"/i.exec(head)?.[1] ?? head.trim()
    const file = /\bfilename="([^"]*)"/i.exec(head)?.[1]
    const type = /^content-type:\s*(.*?)\s*$/im.exec(head)?.[1]
    const notes = [file, type].filter(Boolean).join(', ')
    const text = textOf(value) ?? `${value.length} bytes\n${hex(value, 256, 8)}`
    pairs.push([notes ? `${name} (${notes})` : name, text])
  }
  return { kind: 'multipart', text: pairs.map(([name, value]) => `${name}:\n${value}`).join('\n\n'), pairs }
}

/** What stands between the lines with the boundary. */
function split(bytes: Uint8Array, boundary: string): Uint8Array[] {
  const parts = []
  const mark = `--${boundary}`
  let at = find(bytes, mark, 0)
  while (at >= 0) {
    const start = at + mark.length
    // The last one is followed by two more.
    if (bytes[start] === 0x2d && bytes[start + 1] === 0x2d) break
    at = find(bytes, `\r\n${mark}`, start)
    parts.push(bytes.subarray(start + 2, at < 0 ? bytes.length : at))
    if (at >= 0) at += 2
  }
  return parts
}

/** Where `text`, which is ASCII, stands in `bytes` from `from` on. */
function find(bytes: Uint8Array, text: string, from: number): number {
  const wanted = new TextEncoder().encode(text)
  for (let at = bytes.indexOf(wanted[0]!, from); at >= 0; at = bytes.indexOf(wanted[0]!, at + 1)) {
    if (wanted.every((byte, offset) => bytes[at + offset] === byte)) return at
  }
  return -1
}

export function hex(bytes: Uint8Array, most = 16384, wide = 16): string {
  const lines = []
  for (let at = 0; at < Math.min(bytes.length, most); at += wide) {
    const row = [...bytes.slice(at, at + wide)]
    const digits = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const shown = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${at.toString(16).padStart(6, '0')}  ${digits.padEnd(3 * wide - 1)}  ${shown}`)
  }
  if (bytes.length > most) lines.push(`… and ${bytes.length - most} bytes more`)
  return lines.join('\n')
}

export interface Line {
  mark: ' ' | '+' | '-'
  text: string
}

/** Lines that the two have in common, and those that only one has. */
export function diff(before: string, after: string): Line[] {
  const a = before.split('\n').slice(0, 2000)
  const b = after.split('\n').slice(0, 2000)
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1
  let end = 0
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1
  const left = a.slice(start, a.length - end)
  const right = b.slice(start, b.length - end)
  const width = right.length + 1
  const longest = new Uint16Array((left.length + 1) * width)
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] =
        left[i] === right[j]
          ? longest[(i + 1) * width + j + 1]! + 1
          : Math.max(longest[(i + 1) * width + j]!, longest[i * width + j + 1]!)
    }
  }
  const lines: Line[] = a.slice(0, start).map((text) => ({ mark: ' ', text }))
  let [i, j] = [0, 0]
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      lines.push({ mark: ' ', text: left[i]! })
      i += 1
      j += 1
    } else if (j >= right.length || (i < left.length && longest[(i + 1) * width + j]! >= longest[i * width + j + 1]!)) {
      lines.push({ mark: '-', text: left[i]! })
      i += 1
    } else {
      lines.push({ mark: '+', text: right[j]! })
      j += 1
    }
  }
  return lines.concat(a.slice(a.length - end).map((text) => ({ mark: ' ', text })))
}
