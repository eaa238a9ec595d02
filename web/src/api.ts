// SPDX-License-Identifier: Apache-2.0
// The management API as the pages see it. Shapes are those of schema/openapi.yaml.

export interface Rollout {
  name: string
  release: string
  selector: string
  state: string
  reason: string
  plan_digest: string | null
  waves: number
  layers: number
  targets: number
  created_at: string
  created_by: string
  started_at: string | null
  ended_at: string | null
}

export interface Gate {
  decision: string
  text: string
}

export interface Stage {
  layer: number
  wave: number
  state: string
  steps: Record<string, number>
  targets: number
  completion: number | null
  failure: number | null
  gate: Gate
  soak_until: string | null
}

export interface Figures {
  wave?: number
  devices: number
  targets: number
  confirmed: number
  failed: number
  timed_out: number
  completion: number | null
  failure: number | null
  rollback: number | null
  rollback_failure: number | null
  time_median_s: number | null
  time_p95_s: number | null
  bytes_sent: number
  bytes_saved: number
}

export interface Stats {
  rollout: string
  state: string
  reason: string
  stages: Stage[]
  waves: Figures[]
  total: Figures
}

export interface Plan {
  layers: { layer: number; units: string[][] }[]
  waves: { wave: number; devices: number; name?: string }[]
  refusals: { reason: string; chain: string[]; devices: number }[]
  totals: Record<string, number>
}

export interface Step {
  device: string
  layer: number
  wave: number
  state: string
  cause: string
  detail: string
  changed_at: string
}

export interface Device {
  id: string
  tier: string
  attributes: Record<string, unknown>
  labels: Record<string, unknown>
  installed: { module: string; version: string }[]
  last_seen: string | null
}

export interface Server {
  version: string
  tenant: string
  quick_start_root: boolean
}

export interface WhoAmI {
  name: string
  roles: string[]
}

export interface Page<T> {
  items: T[]
  next: string | null
}

/** A refusal of the server, as RFC 9457 says it. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    title: string,
    readonly detail: string,
  ) {
    super(detail || title)
  }
}

const TOKEN = 'fleetd-token'

/** The token lives as long as the browser's tab. */
export const token = {
  get: (): string => sessionStorage.getItem(TOKEN) ?? '',
  set: (value: string): void => sessionStorage.setItem(TOKEN, value),
  forget: (): void => sessionStorage.removeItem(TOKEN),
}

async function refuse(answer: Response): Promise<never> {
  const body = (await answer.json().catch(() => ({}))) as { title?: string; detail?: string }
  throw new Problem(answer.status, body.title ?? answer.statusText, body.detail ?? '')
}

async function call(method: string, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  headers.set('Authorization', `Bearer ${token.get()}`)
  const answer = await fetch(path, { ...init, method, headers, cache: 'no-store' })
  if (!answer.ok && answer.status !== 304) await refuse(answer)
  return answer
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const answer = await call('GET', path, { signal })
  return (await answer.json()) as T
}

const name = encodeURIComponent

export const api = {
  whoami: () => get<WhoAmI>('/api/v1/whoami'),
  server: () => get<Server>('/api/v1/server'),
  rollouts: (signal: AbortSignal) => get<Page<Rollout>>('/api/v1/rollouts?limit=100', signal),
  rollout: (r: string, signal: AbortSignal) => get<Rollout>(`/api/v1/rollouts/${name(r)}`, signal),
  plan: (r: string, signal: AbortSignal) => get<Plan>(`/api/v1/rollouts/${name(r)}/plan`, signal),
  steps: (r: string, state: string, signal: AbortSignal) =>
    get<Page<Step>>(`/api/v1/rollouts/${name(r)}/steps?state=${name(state)}&limit=20`, signal),
  devices: (q: string, cursor: string, signal: AbortSignal) =>
    get<Page<Device>>(`/api/v1/devices?limit=50&q=${name(q)}&cursor=${name(cursor)}`, signal),

  /** The figures of a rollout, and their tag; waits on the server until the tag has changed. */
  async stats(r: string, tag: string, signal: AbortSignal): Promise<{ stats: Stats | null; tag: string }> {
    const headers: Record<string, string> = tag ? { 'If-None-Match': tag, Prefer: 'wait=20' } : {}
    const answer = await call('GET', `/api/v1/rollouts/${name(r)}/stats`, { headers, signal })
    if (answer.status === 304) return { stats: null, tag }
    return { stats: (await answer.json()) as Stats, tag: answer.headers.get('ETag') ?? '' }
  },

  async verb(r: string, verb: string, body: object): Promise<string> {
    const answer = await call('POST', `/api/v1/rollouts/${name(r)}/${verb}`, {
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': `"${requestKey()}"` },
      body: JSON.stringify(body),
    })
    return ((await answer.json()) as { did: string }).did
  },
}

/** A key that no other request has; crypto.randomUUID exists on secure origins only. */
function requestKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')
}
