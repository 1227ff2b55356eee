// What the agent says and is asked: /api/v1.

export type Pairs = [string, string][]

export interface Webhook {
  provider: string
  event: string | null
  id: string | null
  verified: boolean | null
  why: string | null
  attempt: number
}

export interface Row {
  id: number
  request_id: string | null
  tunnel: string
  at: string
  method: string
  url: string
  target: string
  status: number | null
  kind: string
  visitor: string | null
  version: string | null
  pending: boolean
  outcome: string | null
  ms: number
  phases: { relay: number | null; tunnel: number | null; request: number | null; first_byte: number | null; body: number | null }
  received: number
  sent: number
  content_type: string | null
  grpc_status: string | null
  messages: number
  webhook: Webhook | null
  replay_of: number | null
  imported: boolean
  marked: boolean
  comment: string
}

export interface Message {
  headers: Pairs
  trailers: Pairs
  size: number
  kept: number
}

export interface Inside {
  ms: number
  from: 'visitor' | 'origin'
  kind: string
  size: number
  text: string | null
  hex: string | null
}

export interface Detail extends Row {
  request: Message
  response: Message | null
  inside: Inside[]
}

export interface Tunnel {
  tunnel: string
  urls: string[]
  refused: string | null
  waiting_for: string | null
}

export interface Standing {
  online: boolean
  draining: boolean
  session: string | null
  relay: string | null
  rtt_ms: number | null
  transport: string | null
  tunnels: Tunnel[]
  inspect: { paused: boolean; left_out: number; limits: { requests: number; body: number } }
}

export interface Edits {
  times?: number
  method?: string
  target?: string
  headers?: Pairs
  body?: string
  sign?: boolean
}

async function ask(method: string, path: string, body?: unknown): Promise<Response> {
  const init: RequestInit = { method }
  if (method !== 'GET' && method !== 'DELETE') {
    init.headers = { 'content-type': 'application/json' }
    init.body = typeof body === 'string' ? body : JSON.stringify(body ?? {})
  }
  const answer = await fetch(`/api/v1/${path}`, init)
  if (!answer.ok) {
    const why = await answer.json().catch(() => null)
    throw new Error(why?.error ?? `the agent said ${answer.status}`)
  }
  return answer
}

export const detail = async (id: number): Promise<Detail> => (await ask('GET', `requests/${id}`)).json()
export const bodyOf = async (id: number, side: 'request' | 'response'): Promise<Uint8Array> =>
  new Uint8Array(await (await ask('GET', `requests/${id}/${side}/body`)).arrayBuffer())
export const replay = (id: number, edits: Edits = {}) => ask('POST', `requests/${id}/replay`, edits)
export const note = (id: number, change: { marked?: boolean; comment?: string }) =>
  ask('PATCH', `requests/${id}`, change)
export const clear = () => ask('DELETE', 'requests')
export const pause = (paused: boolean) => ask('POST', 'pause', { paused })
export const importHar = async (text: string): Promise<number> => (await (await ask('POST', 'har', text)).json()).imported
export const checkFilter = (filter: string) => ask('GET', `requests?limit=0&filter=${encodeURIComponent(filter)}`)
