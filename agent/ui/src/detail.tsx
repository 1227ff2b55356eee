import { useEffect, useState } from 'preact/hooks'
import * as api from './api'
import type { Detail, Edits, Message, Pairs, Row } from './api'
import { curl, fetchCall, httpie, size, took } from './format'
import { Badges, Status } from './list'
import { decoded, diff, hex, pretty, textOf } from './view'
import type { Shown } from './view'

interface Props {
  row: Row
  base: number | null
  isBase: boolean
  editing: boolean
  onEdit: (editing: boolean) => void
  onReplay: (edits?: Edits) => unknown
  onMark: () => unknown
  onCompare: () => void
  onClose: () => void
  onComment: (comment: string) => unknown
  say: (text: string) => void
}

interface Loaded {
  detail: Detail
  request: Uint8Array
  response: Uint8Array
}

async function load(id: number): Promise<Loaded> {
  const [detail, request, response] = await Promise.all([
    api.detail(id),
    api.bodyOf(id, 'request'),
    api.bodyOf(id, 'response'),
  ])
  return { detail, request, response }
}

type Tab = 'response' | 'request' | 'messages' | 'timing' | 'compare'

export function DetailView(props: Props) {
  const { row } = props
  const [loaded, setLoaded] = useState<Loaded | null>(null)
  const [tab, setTab] = useState<Tab>('response')
  const [times, setTimes] = useState(1)
  const [comment, setComment] = useState(row.comment)

  useEffect(() => {
    let here = true
    load(row.id)
      .then((now) => here && setLoaded(now))
      .catch((error: Error) => here && props.say(error.message))
    // What goes on is looked at again until it ends.
    const timer = row.pending ? setInterval(() => load(row.id).then((now) => here && setLoaded(now), () => {}), 1000) : 0
    return () => {
      here = false
      clearInterval(timer)
    }
  }, [row.id, row.pending, row.status])

  useEffect(() => {
    if (props.base !== null) setTab('compare')
  }, [props.base])

  const tabs: [Tab, string][] = [
    ['response', 'Response'],
    ['request', 'Request'],
    ...(row.messages > 0 ? ([['messages', `Messages (${row.messages})`]] as [Tab, string][]) : []),
    ['timing', 'Timing'],
    ...(props.base !== null ? ([['compare', `Compare with ${props.base}`]] as [Tab, string][]) : []),
  ]
  const copy = (make: (one: Detail, body: string) => string) => {
    if (!loaded) return
    const text = make(loaded.detail, textOf(loaded.request) ?? '')
    navigator.clipboard.writeText(text).then(
      () => props.say('Copied'),
      () => props.say('The browser does not let this page copy'),
    )
  }
  const onTabKey = (event: KeyboardEvent) => {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (!by) return
    const at = tabs.findIndex(([name]) => name === tab)
    const [next] = tabs[(at + by + tabs.length) % tabs.length]!
    setTab(next)
    document.getElementById(`tab-${next}`)?.focus()
  }

  return (
    <section class="detail" aria-label="Request">
      <div class="title">
        <h2>
          <span class="method">{row.method}</span> <span class="target">{row.target}</span>
        </h2>
        <button type="button" aria-label="Close" onClick={props.onClose}>
          ×
        </button>
      </div>
      <p class="facts">
        <Status row={row} />
        {!row.pending && <span>{took(row.ms)}</span>}
        <span class="quiet">{new Date(row.at).toLocaleString([], { hour12: false })}</span>
        {row.visitor && <span class="quiet">from {row.visitor}</span>}
        {row.version && <span class="quiet">over {row.version}</span>}
        {row.request_id && <span class="quiet">id {row.request_id}</span>}
        <Badges row={row} />
      </p>
      {row.webhook?.verified === false && (
        <p class="fault">
          {row.webhook.why === 'unsigned' ? 'It has no signature.' : `The signature does not hold: ${row.webhook.why}.`}
        </p>
      )}
      <div class="bar" role="toolbar" aria-label="This request">
        <button type="button" class="main" onClick={() => props.onReplay({ times })}>
          Replay
        </button>
        <input
          type="number"
          class="times"
          min={1}
          max={1000}
          value={times}
          aria-label="How often"
          onInput={(event) => setTimes(Math.max(1, event.currentTarget.valueAsNumber || 1))}
        />
        <button type="button" aria-pressed={props.editing} onClick={() => props.onEdit(!props.editing)}>
          Edit and replay
        </button>
        <button type="button" aria-pressed={row.marked} onClick={props.onMark}>
          {row.marked ? 'Marked' : 'Mark'}
        </button>
        <button type="button" aria-pressed={props.isBase} onClick={props.onCompare}>
          Compare
        </button>
        <span class="group" role="group" aria-label="Copy as">
          <span class="quiet">Copy as</span>
          <button type="button" onClick={() => copy(curl)}>curl</button>
          <button type="button" onClick={() => copy(httpie)}>HTTPie</button>
          <button type="button" onClick={() => copy(fetchCall)}>fetch</button>
        </span>
      </div>
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault()
          props.onComment(comment)
        }}
      >
        <input
          value={comment}
          maxLength={4000}
          placeholder="Comment"
          aria-label="Comment"
          onInput={(event) => setComment(event.currentTarget.value)}
        />
        <button type="submit" disabled={comment === row.comment}>
          Note
        </button>
      </form>
      {loaded && props.editing && <Editor loaded={loaded} onSend={props.onReplay} />}
      <div class="tabs" role="tablist" aria-label="Parts" onKeyDown={onTabKey}>
        {tabs.map(([name, text]) => (
          <button
            type="button"
            role="tab"
            key={name}
            id={`tab-${name}`}
            aria-selected={tab === name}
            aria-controls="part"
            tabIndex={tab === name ? 0 : -1}
            onClick={() => setTab(name)}
          >
            {text}
          </button>
        ))}
      </div>
      <div id="part" role="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
        {loaded && tab === 'request' && <Part message={loaded.detail.request} bytes={loaded.request} />}
        {loaded && tab === 'response' &&
          (loaded.detail.response ? (
            <Part message={loaded.detail.response} bytes={loaded.response} />
          ) : (
            <p class="empty">{row.pending ? 'The origin has not answered yet.' : `There is no response: ${row.outcome}.`}</p>
          ))}
        {loaded && tab === 'messages' && <Messages detail={loaded.detail} />}
        {tab === 'timing' && <Timing row={row} />}
        {loaded && tab === 'compare' && props.base !== null && <Compare base={props.base} loaded={loaded} />}
      </div>
    </section>
  )
}

function Headers({ pairs, title }: { pairs: Pairs; title: string }) {
  if (pairs.length === 0) return null
  return (
    <>
      <h3>{title}</h3>
      <table class="pairs">
        <caption>{title}</caption>
        <tbody>
          {pairs.map(([name, value], at) => (
            <tr key={at}>
              <th scope="row">{name}</th>
              <td>{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  )
}

type Look = 'pretty' | 'raw' | 'hex'

function Part({ message, bytes }: { message: Message; bytes: Uint8Array }) {
  const [look, setLook] = useState<Look>('pretty')
  const [shown, setShown] = useState<Shown | null>(null)
  useEffect(() => {
    let here = true
    let image: string | undefined
    decoded(bytes, message).then((plain) => {
      const made = pretty(plain, message)
      image = made.image
      if (here) setShown(made)
    })
    return () => {
      here = false
      if (image) URL.revokeObjectURL(image)
    }
  }, [bytes])
  return (
    <>
      <Headers pairs={message.headers} title="Header fields" />
      <div class="bodybar">
        <h3>Body</h3>
        <span class="quiet">
          {size(message.size)}
          {message.kept < message.size && `, of which ${size(message.kept)} were kept`}
        </span>
        {message.kept > 0 && (
          <span class="group" role="group" aria-label="Show the body">
            {(['pretty', 'raw', 'hex'] as Look[]).map((name) => (
              <button type="button" key={name} aria-pressed={look === name} onClick={() => setLook(name)}>
                {name}
              </button>
            ))}
          </span>
        )}
      </div>
      {message.kept === 0 ? (
        <p class="quiet">{message.size > 0 ? 'Nothing of it was kept.' : 'None.'}</p>
      ) : look === 'hex' ? (
        <Block text={hex(bytes)} />
      ) : look === 'raw' ? (
        <Block text={textOf(bytes) ?? hex(bytes)} />
      ) : (
        shown && <Pretty shown={shown} />
      )}
      <Headers pairs={message.trailers} title="Trailers" />
    </>
  )
}

const Block = ({ text }: { text: string }) => (
  <pre tabIndex={0} role="region" aria-label="Body">
    {text}
  </pre>
)

function Pretty({ shown }: { shown: Shown }) {
  if (shown.image) return <img src={shown.image} alt="The body as an image" />
  if (shown.pairs) return <Headers pairs={shown.pairs} title={shown.kind === 'form' ? 'Form' : 'Parts'} />
  if (shown.kind !== 'json') return <Block text={shown.text} />
  const tokens = shown.text.split(/("(?:[^"\\]|\\.)*"(?=:)|"(?:[^"\\]|\\.)*"|\b(?:true|false|null)\b|-?\b\d[\d.eE+-]*)/)
  return (
    <pre tabIndex={0} role="region" aria-label="Body">
      {tokens.map((token, at) => {
        if (at % 2 === 0) return token
        const name = token.startsWith('"') ? (tokens[at + 1]?.startsWith(':') ? 'key' : 'string') : 'literal'
        return <span class={name}>{token}</span>
      })}
    </pre>
  )
}

function Messages({ detail }: { detail: Detail }) {
  return (
    <ol class="messages">
      {detail.inside.map((one, at) => (
        <li key={at} class={one.from}>
          <span class="quiet">
            {one.from === 'visitor' ? '→' : '←'} {took(one.ms)} {one.from}, {one.kind}, {size(one.size)}
          </span>
          <pre>{one.text ?? one.hex}</pre>
        </li>
      ))}
    </ol>
  )
}

function Timing({ row }: { row: Row }) {
  const { request, first_byte, body, relay, tunnel } = row.phases
  const first = first_byte ?? row.ms
  const bars: [string, number, number][] = [
    ['Until the request had come', 0, request ?? 0],
    ['Until the origin answered', 0, first],
    ['Response', first, body ?? Math.max(0, row.ms - first)],
  ]
  return (
    <>
      <table class="timing">
        <caption>Where the time went, as the agent saw it</caption>
        <tbody>
          {bars.map(([name, from, long]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td class="number">{took(long)}</td>
              <td class="bars">
                <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                  <rect
                    x={(from / (row.ms || 1)) * 100}
                    width={Math.max(0.5, (long / (row.ms || 1)) * 100)}
                    height="8"
                  />
                </svg>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="quiet">
        In all {took(row.ms)}.{relay !== null && ` Before that it waited ${took(relay)} at the relay.`}{tunnel !== null && ` The visitor waits for a round trip between relay and agent too: ${took(tunnel)}.`}
      </p>
    </>
  )
}

function lines(loaded: Loaded, side: 'request' | 'response'): string {
  const message = loaded.detail[side]
  if (!message) return ''
  const start = side === 'request' ? `${loaded.detail.method} ${loaded.detail.target}` : `${loaded.detail.status}`
  const bytes = loaded[side]
  const shown = pretty(bytes, message)
  const body = shown.text || (textOf(bytes) ?? hex(bytes))
  return [start, ...message.headers.map(([name, value]) => `${name}: ${value}`), '', body].join('\n')
}

function Compare({ base, loaded }: { base: number; loaded: Loaded }) {
  const [other, setOther] = useState<Loaded | null>(null)
  const [side, setSide] = useState<'request' | 'response'>('response')
  useEffect(() => {
    load(base).then(setOther, () => setOther(null))
  }, [base])
  if (!other) return null
  const found = diff(lines(other, side), lines(loaded, side))
  return (
    <>
      <span class="group" role="group" aria-label="Compare">
        {(['response', 'request'] as const).map((name) => (
          <button type="button" key={name} aria-pressed={side === name} onClick={() => setSide(name)}>
            {name}
          </button>
        ))}
      </span>
      {found.every((line) => line.mark === ' ') && <p>They are the same.</p>}
      <pre class="diff" tabIndex={0} role="region" aria-label="Differences">
        {found.map((line, at) => (
          <span key={at} class={line.mark === '+' ? 'added' : line.mark === '-' ? 'removed' : ''}>
            {`${line.mark} ${line.text}\n`}
          </span>
        ))}
      </pre>
    </>
  )
}

function Editor({ loaded, onSend }: { loaded: Loaded; onSend: (edits: Edits) => unknown }) {
  const { detail, request } = loaded
  const before = textOf(request)
  const [method, setMethod] = useState(detail.method)
  const [target, setTarget] = useState(detail.target)
  const [headers, setHeaders] = useState(detail.request.headers.map(([name, value]) => `${name}: ${value}`).join('\n'))
  const [body, setBody] = useState(before ?? '')
  const [sign, setSign] = useState(true)
  const send = (event: Event) => {
    event.preventDefault()
    const edits: Edits = { method, target, sign }
    edits.headers = headers
      .split('\n')
      .filter((line) => line.trim())
      .map((line) => {
        const at = line.indexOf(':')
        return at < 0 ? [line, ''] : [line.slice(0, at).trim(), line.slice(at + 1).trim()]
      })
    // What is no text stays as it was.
    if (body !== (before ?? '')) edits.body = body
    onSend(edits)
  }
  return (
    <form class="editor" onSubmit={send} aria-label="Edit and replay">
      <div class="bar">
        <input class="times" value={method} aria-label="Method" onInput={(event) => setMethod(event.currentTarget.value)} />
        <input value={target} aria-label="Path and query" onInput={(event) => setTarget(event.currentTarget.value)} />
      </div>
      <label>
        Header fields
        <textarea rows={6} value={headers} spellcheck={false} onInput={(event) => setHeaders(event.currentTarget.value)} />
      </label>
      <label>
        Body
        <textarea
          rows={8}
          value={body}
          spellcheck={false}
          placeholder={before === null ? 'The body is no text; it is sent as it was unless something is written here.' : ''}
          onInput={(event) => setBody(event.currentTarget.value)}
        />
      </label>
      <div class="bar">
        <button type="submit" class="main">
          Send
        </button>
        <label class="check">
          <input type="checkbox" checked={sign} onChange={(event) => setSign(event.currentTarget.checked)} />
          sign webhooks anew
        </label>
      </div>
    </form>
  )
}
