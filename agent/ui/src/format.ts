// Figures and commands as people read them.
import type { Detail } from './api'

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  let left = bytes
  for (const unit of ['kB', 'MB', 'GB']) {
    left /= 1000
    if (left < 999.5 || unit === 'GB') return `${left < 10 ? left.toFixed(1) : Math.round(left)} ${unit}`
  }
  return ''
}

export function took(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${Math.round(ms)} ms`
  return ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60000)} min`
}

export const clock = (at: string) => new Date(at).toLocaleTimeString([], { hour12: false })

const quoted = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)

// What the relay and the hop before it added is not a visitor's to send.
const ADDED = /^(host|content-length|x-forwarded-.*|forwarded|x-request-id)$/

const sendable = (one: Detail) => one.request.headers.filter(([name]) => !ADDED.test(name))

export function curl(one: Detail, body: string): string {
  const parts = ['curl', '-X', one.method, quoted(one.url)]
  for (const [name, value] of sendable(one)) parts.push('-H', quoted(`${name}: ${value}`))
  if (body) parts.push('--data-binary', quoted(body))
  return parts.join(' ')
}

export function httpie(one: Detail, body: string): string {
  const parts = ['http', one.method, quoted(one.url)]
  for (const [name, value] of sendable(one)) parts.push(quoted(`${name}:${value}`))
  return (body ? `printf %s ${quoted(body)} | ` : '') + parts.join(' ')
}

export function fetchCall(one: Detail, body: string): string {
  const init: Record<string, unknown> = { method: one.method, headers: sendable(one) }
  if (body) init.body = body
  return `await fetch(${JSON.stringify(one.url)}, ${JSON.stringify(init, null, 2)})`
}
