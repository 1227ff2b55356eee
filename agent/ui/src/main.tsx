// The page: a live list on one side, one exchange on the other.
import { render } from 'preact'
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import * as api from './api'
import type { Row, Standing } from './api'
import { DetailView } from './detail'
import { Help } from './help'
import { List } from './list'
import { took } from './format'

/** Follows the agent from now on. The rows are kept by id, the newest last. */
function useEvents(filter: string) {
  const [rows, setRows] = useState<Map<number, Row>>(new Map())
  const [standing, setStanding] = useState<Standing | null>(null)
  const [lost, setLost] = useState(false)
  const waiting = useRef(new Map<number, Row | null>())
  const limit = useRef(1000)

  const show = () => {
    if (waiting.current.size === 0) return
    const news = waiting.current
    waiting.current = new Map()
    setRows((before) => {
      const rows = new Map(before)
      for (const [id, row] of news) {
        if (row) rows.set(id, row)
        else rows.delete(id)
      }
      if (rows.size > limit.current) {
        const ids = [...rows.keys()].sort((a, b) => a - b)
        for (const id of ids.slice(0, rows.size - limit.current)) if (!rows.get(id)?.marked) rows.delete(id)
      }
      return rows
    })
  }

  useEffect(() => {
    const source = new EventSource(`/api/v1/events?filter=${encodeURIComponent(filter)}`)
    let frame = 0
    const soon = () => {
      cancelAnimationFrame(frame)
      frame = requestAnimationFrame(show)
    }
    const on = (name: string, act: (data: any) => void) =>
      source.addEventListener(name, (event) => act(JSON.parse((event as MessageEvent).data)))
    on('status', (now: Standing) => {
      limit.current = now.inspect.limits.requests
      setStanding(now)
      setLost(false)
    })
    on('clear', () => {
      waiting.current = new Map()
      setRows(new Map())
    })
    on('exchange', (row: Row) => {
      waiting.current.set(row.id, row)
      soon()
    })
    on('gone', ({ id }: { id: number }) => {
      waiting.current.set(id, null)
      soon()
    })
    source.addEventListener('error', () => setLost(true))
    return () => {
      cancelAnimationFrame(frame)
      source.close()
    }
  }, [filter])
  return { rows, standing, lost }
}

function App() {
  const [typed, setTyped] = useState('')
  const [filter, setFilter] = useState('')
  const [bad, setBad] = useState('')
  const [selected, setSelected] = useState<number | null>(null)
  const [base, setBase] = useState<number | null>(null)
  const [editing, setEditing] = useState(false)
  const [help, setHelp] = useState(false)
  const [said, setSaid] = useState('')
  const { rows, standing, lost } = useEvents(filter)
  const search = useRef<HTMLInputElement>(null)
  const file = useRef<HTMLInputElement>(null)

  const ordered = useMemo(() => [...rows.values()].sort((a, b) => b.id - a.id), [rows])
  const row = selected === null ? undefined : rows.get(selected)

  const say = (text: string) => {
    setSaid(text)
    setTimeout(() => setSaid((now) => (now === text ? '' : now)), 4000)
  }
  const attempt = (work: Promise<unknown>, done?: string) =>
    work.then(() => done && say(done)).catch((error: Error) => say(error.message))

  useEffect(() => {
    const timer = setTimeout(() => {
      api
        .checkFilter(typed)
        .then(() => {
          setBad('')
          setFilter(typed)
        })
        .catch((error: Error) => setBad(error.message))
    }, 200)
    return () => clearTimeout(timer)
  }, [typed])

  const select = (id: number | null) => {
    setSelected(id)
    setEditing(false)
  }
  const move = (by: number) => {
    const at = ordered.findIndex((one) => one.id === selected)
    const next = ordered[at < 0 ? 0 : Math.min(ordered.length - 1, Math.max(0, at + by))]
    if (!next) return
    select(next.id)
    requestAnimationFrame(() => document.getElementById(`row-${next.id}`)?.focus())
  }
  const replay = () => row && attempt(api.replay(row.id), 'Sent again')
  const paused = standing?.inspect.paused ?? false
  const pause = () => attempt(api.pause(!paused), paused ? 'Capture goes on' : 'Capture is paused')
  const mark = () => row && attempt(api.note(row.id, { marked: !row.marked }))
  const compare = () => {
    setBase(base === selected ? null : selected)
    if (selected !== null && base !== selected) say('Choose another request to compare it with')
  }

  // At once: a key that is pressed right after a click is about what was clicked.
  useLayoutEffect(() => {
    const keys: Record<string, () => unknown> = {
      j: () => move(1),
      ArrowDown: () => move(1),
      k: () => move(-1),
      ArrowUp: () => move(-1),
      '/': () => search.current?.focus(),
      r: replay,
      e: () => row && setEditing(true),
      m: mark,
      d: compare,
      p: pause,
      '?': () => setHelp(!help),
      Escape: () => (help ? setHelp(false) : editing ? setEditing(false) : select(null)),
    }
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement
      const types = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)
      if (types && event.key === 'Escape') target.blur()
      // Arrows in tabs and in what scrolls belong there.
      const inside = event.key.startsWith('Arrow') && target.closest('.detail')
      if (types || inside || event.ctrlKey || event.metaKey || event.altKey) return
      const act = keys[event.key]
      if (!act) return
      event.preventDefault()
      act()
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  })

  const pickFile = async (event: Event) => {
    const input = event.target as HTMLInputElement
    const text = await input.files?.[0]?.text()
    input.value = ''
    if (text !== undefined) {
      const read = api.importHar(text).then((count) => say(`${count} imported`))
      await attempt(read)
    }
  }

  return (
    <>
      <header>
        <h1>Adit</h1>
        <State standing={standing} lost={lost} />
        <Tunnels standing={standing} />
      </header>
      <main class={row ? 'split' : ''}>
        <section aria-label="Requests">
          <div class="bar" role="toolbar" aria-label="Requests">
            <input
              ref={search}
              type="search"
              value={typed}
              placeholder="Filter: method:POST status:5xx body:order …"
              aria-label="Filter"
              aria-invalid={bad !== ''}
              aria-describedby="filter-fault"
              spellcheck={false}
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
            <button type="button" aria-pressed={paused} onClick={pause}>
              {paused ? 'Resume' : 'Pause'}
            </button>
            <button type="button" onClick={() => attempt(api.clear())}>
              Clear
            </button>
            <a class="button" href={`/api/v1/har?filter=${encodeURIComponent(filter)}`} download="adit.har">
              Export
            </a>
            <button type="button" onClick={() => file.current?.click()}>
              Import
            </button>
            <input ref={file} type="file" accept=".har,application/json" hidden onChange={pickFile} aria-label="HAR file" />
            <button type="button" aria-label="Help" onClick={() => setHelp(true)}>
              ?
            </button>
          </div>
          <p id="filter-fault" class="fault" role="status">
            {bad}
          </p>
          {paused && <p class="note">Capture is paused: requests pass, and are not kept.</p>}
          <List
            rows={ordered}
            selected={selected}
            base={base}
            tunnels={standing?.tunnels.length ?? 0}
            isFiltered={filter !== ''}
            onSelect={select}
          />
          {standing && standing.inspect.left_out > 0 && (
            <p class="quiet">{standing.inspect.left_out} more were not kept: they came too fast, or while capture was paused.</p>
          )}
        </section>
        {row && (
          <DetailView
            key={row.id}
            row={row}
            base={base !== null && base !== row.id ? base : null}
            isBase={base === row.id}
            editing={editing}
            onEdit={setEditing}
            onReplay={(edits) => attempt(api.replay(row.id, edits), 'Sent again').then(() => setEditing(false))}
            onMark={mark}
            onCompare={compare}
            onClose={() => select(null)}
            onComment={(comment) => attempt(api.note(row.id, { comment }), 'Noted')}
            say={say}
          />
        )}
      </main>
      <div class="said" role="status" aria-live="polite">
        {said}
      </div>
      {help && <Help onClose={() => setHelp(false)} />}
    </>
  )
}

function State({ standing, lost }: { standing: Standing | null; lost: boolean }) {
  const [name, text] = lost
    ? ['lost', 'agent is gone']
    : !standing
      ? ['', 'connecting']
      : standing.draining
        ? ['', 'draining']
        : standing.online
          ? ['online', 'online']
          : ['', standing.session ? 'offline' : 'connecting']
  const relay = standing?.relay && `${standing.relay}${standing.rtt_ms === null ? '' : `, ${took(standing.rtt_ms)}`}`
  return (
    <>
      <p class={`state ${name}`} role="status">
        {text}
      </p>
      {relay && <p class="quiet relay">relay {relay}{standing?.transport === 'tcp' ? ', over TCP' : ''}</p>}
    </>
  )
}

function Tunnels({ standing }: { standing: Standing | null }) {
  return (
    <ul class="tunnels" aria-label="Tunnels">
      {standing?.tunnels.map((one) => (
        <li key={one.tunnel}>
          {one.urls[0] ? (
            <a href={one.urls[0]} rel="noreferrer" target="_blank">
              {one.urls[0]}
            </a>
          ) : (
            one.tunnel
          )}
          <span class="quiet"> to {one.tunnel}</span>
          {one.waiting_for && <span class="note"> waiting for {one.waiting_for}: visitors get 502</span>}
          {one.refused && <span class="note"> refused: {one.refused}</span>}
        </li>
      ))}
    </ul>
  )
}

render(<App />, document.getElementById('app')!)
