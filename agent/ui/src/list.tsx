import { memo } from './memo'
import type { Row } from './api'
import { clock, size, took } from './format'

interface Props {
  rows: Row[]
  selected: number | null
  base: number | null
  tunnels: number
  isFiltered: boolean
  onSelect: (id: number) => void
}

export function List({ rows, selected, base, tunnels, isFiltered, onSelect }: Props) {
  const many = tunnels > 1
  return (
    <div class="scroll" role="region" aria-label="List of requests" tabIndex={0}>
      <table>
        <caption>Requests, the newest first</caption>
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Method</th>
            <th scope="col" class="path">Path</th>
            <th scope="col">Status</th>
            <th scope="col" class="number">Took</th>
            <th scope="col" class="number">In</th>
            <th scope="col" class="number">Out</th>
            {many && <th scope="col">Tunnel</th>}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Line
              key={row.id}
              row={row}
              isSelected={row.id === selected}
              isBase={row.id === base}
              many={many}
              onSelect={onSelect}
            />
          ))}
        </tbody>
      </table>
      {rows.length === 0 && (
        <p class="empty">
          {isFiltered ? 'No request is as the filter says.' : 'No requests yet. They appear here as they come.'}
        </p>
      )}
    </div>
  )
}

interface LineProps {
  row: Row
  isSelected: boolean
  isBase: boolean
  many: boolean
  onSelect: (id: number) => void
}

const Line = memo(function Line({ row, isSelected, isBase, many, onSelect }: LineProps) {
  const path = row.target.split('?')
  return (
    <tr class={isSelected ? 'selected' : ''} onClick={() => onSelect(row.id)}>
      <td class="time">{clock(row.at)}</td>
      <td class="method">{row.method}</td>
      <td class="path">
        <button type="button" class="link" id={`row-${row.id}`} aria-current={isSelected ? 'true' : undefined}>
          {path[0]}
          {path.length > 1 && <span class="quiet">?{path.slice(1).join('?')}</span>}
        </button>
        <Badges row={row} isBase={isBase} />
      </td>
      <td>
        <Status row={row} />
      </td>
      <td class="number">{row.pending ? '' : took(row.ms)}</td>
      <td class="number">{size(row.received)}</td>
      <td class="number">{size(row.sent)}</td>
      {many && <td class="quiet">{row.tunnel}</td>}
    </tr>
  )
})

export function Status({ row }: { row: Row }) {
  const failed = row.outcome && !['done', 'imported'].includes(row.outcome)
  return (
    <span class={`status s${Math.floor((row.status ?? 0) / 100)} ${failed && row.outcome !== 'visitor-left' ? 'failed' : ''}`}>
      {row.status ?? (row.pending ? '…' : '')}
      {failed && <small> {row.outcome}</small>}
    </span>
  )
}

export function Badges({ row, isBase }: { row: Row; isBase?: boolean }) {
  const hook = row.webhook
  return (
    <span class="badges">
      {row.marked && <span class="badge mark" title="marked">★</span>}
      {hook && (
        <span class={`badge ${hook.verified === true ? 'good' : hook.verified === false ? 'bad' : ''}`}>
          {hook.provider}
          {hook.event && ` ${hook.event}`}
          {hook.verified === true && ' ✓'}
          {hook.verified === false && (hook.why === 'unsigned' ? ' unsigned' : ' ✗')}
          {hook.attempt > 1 && ` #${hook.attempt}`}
        </span>
      )}
      {row.kind !== 'http' && <span class="badge">{row.kind}{row.messages > 0 && ` ${row.messages}`}</span>}
      {row.grpc_status && <span class="badge">grpc-status {row.grpc_status}</span>}
      {row.replay_of !== null && <span class="badge">replay of {row.replay_of}</span>}
      {row.imported && <span class="badge">imported</span>}
      {isBase && <span class="badge">compare</span>}
      {row.comment && <span class="badge comment">{row.comment}</span>}
    </span>
  )
}
