import { useEffect, useRef } from 'preact/hooks'

const KEYS: [string, string][] = [
  ['j k, ↓ ↑', 'next, previous request'],
  ['/', 'filter'],
  ['r', 'send it again'],
  ['e', 'edit it and send it again'],
  ['m', 'mark'],
  ['d', 'compare with the next that you choose'],
  ['p', 'pause capture, resume it'],
  ['Esc', 'close'],
]

const FILTERS: [string, string][] = [
  ['method:POST,PUT', 'one of these methods'],
  ['status:5xx status:>=400 status:none', 'the status'],
  ['path:/hooks path:*stripe', 'how the path begins, or a pattern'],
  ['header:x-shop=acme', 'a header field of either message'],
  ['body:"order 12"', 'text in either body'],
  ['duration:>200ms size:>10k', 'how long, how large'],
  ['provider:stripe event:charge.* verified:no', 'webhooks'],
  ['type:websocket is:failed is:marked is:replay', 'what it is'],
  ['-path:/health', 'not that'],
]

export function Help({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="help-title">
      <h2 id="help-title">Help</h2>
      <h3>Keys</h3>
      <dl class="terms">{KEYS.map(([key, what]) => [<dt><kbd>{key}</kbd></dt>, <dd>{what}</dd>])}</dl>
      <h3>Filter</h3>
      <dl class="terms">{FILTERS.map(([key, what]) => [<dt><code>{key}</code></dt>, <dd>{what}</dd>])}</dl>
      <button type="button" onClick={onClose}>
        Close
      </button>
    </dialog>
  )
}
