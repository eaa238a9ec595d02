// SPDX-License-Identifier: Apache-2.0
// Calls of the management API; the shapes are in types.ts.

import type { AuditHead, Blocked, Channel, Decision, Delta, DeltaQueue, DeltaStats, Device, DeviceExplanation, Event, Freeze, Module, Page, Plan, PlanDiff, Release, Report, Rollout, Server, Simulation, StageExplanation, Stats, Step, Token, VerbDone, Version, Webhook, WhoAmI } from './types'

/** A refusal of the server, as RFC 9457 says it. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
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

/** A request with the token; throws Problem where the server refuses. */
export async function call(method: string, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  headers.set('Authorization', `Bearer ${token.get()}`)
  const answer = await fetch(path, { ...init, method, headers, cache: 'no-store' })
  if (!answer.ok && answer.status !== 304) await refuse(answer)
  return answer
}

const PATIENCE = 15000 // ms; a server that is silent for so long does not answer

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const patience = AbortSignal.timeout(PATIENCE)
  const answer = await call('GET', path, { signal: signal ? AbortSignal.any([signal, patience]) : patience })
  return (await answer.json()) as T
}

/** A key that no other request has; crypto.randomUUID exists on secure origins only. */
function requestKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')
}

async function post<T>(path: string, body: object, signal?: AbortSignal): Promise<T> {
  const answer = await call('POST', path, {
    signal,
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': `"${requestKey()}"` },
    body: JSON.stringify(body),
  })
  return (await answer.json()) as T
}

async function put<T>(path: string, body: object): Promise<T> {
  const answer = await call('PUT', path, { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
  return (await answer.json()) as T
}

/** "?a=1&b=2" of what has a value. */
function query(values: Record<string, string | number | null | undefined>): string {
  const set = Object.entries(values).filter(([, value]) => value !== '' && value !== null && value !== undefined)
  return set.length === 0 ? '' : '?' + set.map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`).join('&')
}

const ALL = 1000 // rows of a list that is shown whole

const name = encodeURIComponent
const rollout = (r: string): string => `/api/v1/rollouts/${name(r)}`
const device = (d: string): string => `/api/v1/devices/${name(d)}`

export interface StepFilter {
  layer?: number
  wave?: number
  state?: string
  limit?: number
  cursor?: string
}

export interface EventFilter {
  kind?: string
  subject?: string
  actor?: string
  order?: string
  limit?: number
  cursor?: string
}

export const api = {
  whoami: () => get<WhoAmI>('/api/v1/whoami'),
  server: (signal?: AbortSignal) => get<Server>('/api/v1/server', signal),
  rollouts: (cursor: string, signal: AbortSignal) => get<Page<Rollout>>('/api/v1/rollouts' + query({ limit: 50, cursor }), signal),
  rollout: (r: string, signal: AbortSignal) => get<Rollout>(rollout(r), signal),
  plan: (r: string, signal: AbortSignal) => get<Plan>(`${rollout(r)}/plan`, signal),
  steps: (r: string, filter: StepFilter, signal: AbortSignal) => get<Page<Step>>(`${rollout(r)}/steps` + query({ ...filter }), signal),
  explainStage: (r: string, layer: number, wave: number, signal: AbortSignal) => get<StageExplanation>(`${rollout(r)}/stages/${layer}/${wave}/explain`, signal),
  decisions: (r: string, signal: AbortSignal) => get<Page<Decision>>(`${rollout(r)}/decisions` + query({ limit: 200 }), signal),
  devices: (q: string, cursor: string, signal: AbortSignal) => get<Page<Device>>('/api/v1/devices' + query({ limit: 50, q, cursor }), signal),
  device: (d: string, signal: AbortSignal) => get<Device>(device(d), signal),
  explainDevice: (d: string, signal: AbortSignal) => get<DeviceExplanation>(`${device(d)}/explain`, signal),
  reports: (d: string, signal: AbortSignal) => get<Page<Report>>(`${device(d)}/reports` + query({ limit: 50 }), signal),
  events: (filter: EventFilter, signal: AbortSignal) => get<Page<Event>>('/api/v1/events' + query({ ...filter }), signal),
  auditHead: (signal: AbortSignal) => get<AuditHead>('/api/v1/audit/head', signal),
  deltas: (cursor: string, signal: AbortSignal) => get<Page<Delta>>('/api/v1/deltas' + query({ limit: 100, cursor }), signal),
  deltaStats: (signal: AbortSignal) => get<DeltaStats>('/api/v1/deltas/stats', signal),
  deltaQueue: (signal: AbortSignal) => get<DeltaQueue>('/api/v1/deltas/queue', signal),
  artifact: (sha256: string, signal: AbortSignal) => get<{ used_by: { module: string; version: string }[] }>(`/api/v1/artifacts/${sha256}`, signal),

  /** The figures of a rollout, and their tag; null when they are those of `tag` still. */
  async stats(r: string, tag: string, signal: AbortSignal): Promise<{ stats: Stats | null; tag: string }> {
    const headers: Record<string, string> = tag ? { 'If-None-Match': tag } : {}
    const answer = await call('GET', `${rollout(r)}/stats`, { headers, signal })
    if (answer.status === 304) return { stats: null, tag }
    return { stats: (await answer.json()) as Stats, tag: answer.headers.get('ETag') ?? '' }
  },

  channels: (signal: AbortSignal) => get<Page<Channel>>('/api/v1/channels' + query({ limit: 200 }), signal),
  channelVerb: (c: string, verb: string) => call('POST', `/api/v1/channels/${name(c)}/${verb}`),

  releases: (signal: AbortSignal) => get<Page<Release>>('/api/v1/releases' + query({ limit: ALL }), signal),
  createRelease: (r: string, body: object) => put<Release>(`/api/v1/releases/${name(r)}`, body),
  modules: (signal: AbortSignal) => get<Page<Module>>('/api/v1/modules' + query({ limit: ALL }), signal),
  module: (m: string, signal: AbortSignal) => get<Module>(`/api/v1/modules/${name(m)}`, signal),
  versions: (m: string, signal: AbortSignal) => get<Page<Version>>(`/api/v1/modules/${name(m)}/versions` + query({ limit: ALL }), signal),
  block: (m: string, v: string, blocked: boolean, why: string) => post<Blocked>(`/api/v1/modules/${name(m)}/versions/${name(v)}/block`, { blocked, ...(why && { why }) }),

  tokens: (signal: AbortSignal) => get<Page<Token>>('/api/v1/tokens' + query({ limit: ALL }), signal),
  createToken: (body: object) => post<Token>('/api/v1/tokens', body),
  revokeToken: (id: number) => call('DELETE', `/api/v1/tokens/${id}`),
  webhooks: (signal: AbortSignal) => get<Page<Webhook>>('/api/v1/webhooks' + query({ limit: ALL }), signal),
  putWebhook: (w: string, body: object) => put<Webhook>(`/api/v1/webhooks/${name(w)}`, body),
  deleteWebhook: (w: string) => call('DELETE', `/api/v1/webhooks/${name(w)}`),
  webhookVerb: (w: string, verb: string) => call('POST', `/api/v1/webhooks/${name(w)}/${verb}`),
  simulate: (wish: object, signal: AbortSignal) => post<Simulation>('/api/v1/simulations', wish, signal),

  freezes: (signal: AbortSignal) => get<Page<Freeze>>('/api/v1/freezes', signal),

  preview: (body: object, signal: AbortSignal) => post<Plan>('/api/v1/plans', body, signal),
  createRollout: (r: string, body: object) => put<Rollout>(rollout(r), body),
  planDevices: (r: string, wave: number, signal: AbortSignal) => get<Page<{ device: string }>>(`/api/v1/plans/${name(r)}/devices` + query({ wave, limit: 200 }), signal),
  planDiff: (a: string, b: string, signal: AbortSignal) => get<PlanDiff>(`/api/v1/plans/${name(a)}/diff/${name(b)}`, signal),

  verb: (r: string, verb: string, body: object) => post<VerbDone>(`${rollout(r)}/${verb}`, body),
}
