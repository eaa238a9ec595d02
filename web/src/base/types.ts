// SPDX-License-Identifier: Apache-2.0
// What the management API answers, as schema/openapi.yaml has it; only what the pages use.

export interface Page<T> {
  items: T[]
  next: string | null
}

export interface Server {
  version: string
  tenant: string
  poll_interval_s: number
  quick_start_root: boolean
}

export interface WhoAmI {
  name: string
  roles: string[]
  selector: string | null
}

export interface Rollout {
  name: string
  release: string
  selector: string
  strategy: Strategy
  state: string
  reason: string
  plan_digest: string | null
  waves: number
  layers: number
  targets: number
  created_at: string
  created_by: string
  start_at: string | null
  started_at: string | null
  ended_at: string | null
  approvals?: { by: string; agrees: boolean; why: string; plan_digest: string; at: string }[]
}

export interface Threshold {
  percent?: number
  minimum?: number
}

export interface GateRules {
  success?: Threshold
  error?: Threshold
  stop?: { type: string; threshold: number; min_executed?: number }[]
  sprt?: { p0_percent: number; p1_percent: number; alpha: number; beta: number }
  bayes?: { limit_percent: number; pass_below: number; fail_above: number; minimum: number }
  external?: { within_s: number }
  manual?: boolean
  carry?: boolean
}

export interface Opening {
  cron?: string
  rrule?: string
  duration_s: number
  from?: string
}

export interface Windows {
  delivery?: Opening[]
  switch?: Opening[]
  zone: string
  zone_of?: string
}

export interface Strategy {
  windows?: Windows
  order?: string
  gate?: GateRules
  soak_s?: number
  reach_s?: number
  install_s?: number
  probation_s?: number
  on_failure?: string
  max_in_flight?: number
  pace?: {
    max_per_minute?: number
    ramp?: { base_per_minute: number; increment_factor: number; notified?: number; succeeded?: number }
    max_unavailable?: { by: string; devices: number }
  }
  retries?: { type: string; causes: string[]; attempts: number; backoff_s: number; factor: number }[]
  rollback?: { first: number; error_percent: number; error_minimum: number }
  early?: string
  strata?: string[]
  conflicts?: string
  joiners?: string
  max_joiners?: number
  max_drift_percent?: number
  priority?: number
  supersede?: boolean
  approvals?: number
  approvers?: string[]
}

export interface Gate {
  decision: string
  text: string
  counted: number
  successes: number
  failures: number
  verdict?: string
  said?: string
}

export interface Vote {
  kind: string
  decision: string
  text: string
  log_likelihood_ratio?: number
  accepts_at?: number
  rejects_at?: number
  probability_above_limit?: number
  passes_at?: number
  fails_at?: number
}

export interface Decision {
  id: number
  at: string
  stage: string
  state: string
  text: string
  numbers: {
    successes: number
    failures: number
    timed_out: number
    rejected: number
    carried_successes?: number
    carried_failures?: number
    open: number
    silent: number
    votes: Vote[]
  }
}

export interface Stage {
  layer: number
  wave: number
  state: string
  steps: Record<string, number>
  targets: number
  completion: number | null
  failure: number | null
  rollback: number | null
  gate: Gate
  opened_at: string | null
  soak_until: string | null
  ended_at: string | null
}

export interface Figures {
  wave?: number
  devices: number
  targets: number
  confirmed: number
  failed: number
  timed_out: number
  retried: number
  completion: number | null
  failure: number | null
  rollback: number | null
  rolled_back_by_device: number
  rolled_back_by_server: number
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
  slots: { in_flight: number; share: number; fleet_in_flight: number; fleet_max: number } | null
  stages: Stage[]
  waves: Figures[]
  total: Figures
}

export interface ModuleVersion {
  module: string
  version: string | null
}

export interface PlanStage {
  layer: number
  wave: number
  devices: number
  bytes_full: number
  bytes_delta: number | null
  deltas_to_build: number
  no_way_back: number
  forecast?: {
    reach_p95_s: number
    never_seen: number
    time_s: number
    time_max_s: number
    peak_offers_s: number
    peak_bytes_s: number
    downtime_s: number | null
    build_s: number
  }
}

export interface Chance {
  failure_percent: number
  pass: number
  sample?: number
  harmed: number
  pass_silent: number
  harmed_silent: number
}

export interface PlanClass {
  class: number
  devices: number
  from: ModuleVersion[]
  to: ModuleVersion[][]
  kind: string
  reason: string
  example: string | null
}

export interface Plan {
  digest: string
  order: string
  seed: number
  layers: { layer: number; units: string[][] }[]
  waves: { wave: number; devices: number; name: string }[]
  stages: PlanStage[]
  classes: PlanClass[]
  totals: Record<string, number>
  refusals: { reason: string; chain: string[]; devices: number; example: string | null }[]
  notes: string[]
  gates?: {
    demands: { kind: string; text: string }[]
    stages: { layer: number; wave: number; devices: number; exact: boolean; chances: Chance[] }[]
    truncated: boolean
    whole: Chance[]
  }
  forecast?: { time_s: number; time_max_s: number; observed: boolean }
}

export interface PlanDiff {
  same: boolean
  changes: { what: string; a: unknown; b: unknown }[]
  members: { only_a: number; only_b: number; same_wave: number; other_wave: number }
}

export interface Step {
  device: string
  layer: number
  wave: number
  state: string
  cause: string
  back: boolean
  attempt: number
  changed_at: string
  detail: string
}

export interface VerbDone {
  did: string
  changed: boolean
  may_still_switch: number
  until: string | null
}

export interface Device {
  id: string
  tier: string
  gateway: string | null
  attributes: Record<string, string | number | boolean>
  labels: Record<string, string | number | boolean>
  installed: { module: string; version: string }[]
  manifest: number
  enrolled: boolean
  last_seen: string | null
  retired_at: string | null
  created_at: string
  steps?: { rollout: string; layer: number; wave: number; state: string; cause: string; changed_at: string }[]
}

export interface ExplanationLine {
  code: string
  text: string
}

export interface DeviceExplanation {
  summary: string
  lines: ExplanationLine[]
  rollouts: { rollout: string; state: string; stage: string | null; lines: ExplanationLine[] }[]
}

export interface StageExplanation {
  stage: string
  summary: string
  lines: ExplanationLine[]
}

export interface Report {
  at: string
  state: string
  cause: string
  detail: string
  step: string | null
}

export interface Event {
  seq: number
  at: string
  actor: string
  kind: string
  subject: string
  data: Record<string, unknown>
}

export interface Channel {
  name: string
  selector: string
  release: string | null
  state: 'on' | 'paused' | 'halted'
  reason: string
  max_in_flight: number
  rollouts: number
  looked_at: string | null
  devices: { update: number; noop: number; incompatible: number; held: number; ambiguous: number; given_up: number; silent: number } | null
}

export interface SimulationResult {
  strategy: string
  case: string
  passed: number | null
  stopped: number | null
  stopped_s: number | null
  completion: number | null
  harmed: number | null
  harmed_most: number
  mean_s: number | null
  p95_s: number | null
  max_s: number | null
  ended_s: number | null
  bytes: number | null
  bytes_full: number | null
  peak_requests_s: number
  curve: (number | null)[]
}

export interface Simulation {
  devices: number
  layers: number
  seed: number
  runs: number
  facts: number
  complete: boolean
  results: SimulationResult[]
}

export interface Freeze {
  name: string
  selector: string
  why: string
  from: string
  until: string | null
  every: Opening[] | null
  zone: string | null
  span: { from: string; until: string | null } | null
  planned: boolean
  holds: boolean
  created_by: string
}

export interface Delta {
  from: string | null
  to: string
  codec: string
  level: number
  state: string
  size: number
  full_size: number
  saved: number
  uses: number
  built_ms: number
  created_at: string
}

export interface DeltaCodec {
  codec: string
  level: number
  ready: number
  useless: number
  failed: number
  bytes: number
  uses: number
  saved: number
  built_ms: number
}

export interface DeltaStats {
  summary: Record<string, number>
  codecs: DeltaCodec[]
  cache: Record<string, number>
}

export interface DeltaQueue {
  items: { from: string | null; to: string; place: string; tiers: string[]; devices: number; gain: number }[]
}

export interface AuditHead {
  head: { signed: { seq: number; at: number } }
  checkpoint: { signed: { seq: number; at: number } } | null
}

export interface Module {
  name: string
  kind: string
  tier: string
  description: string
  versions: number
  newest: string | null
}

export interface Version {
  module: string
  version: string
  variants: { selector: string | null; artifact: { sha256: string; size: number } | null }[]
  requires: Record<string, string>
  needs: Record<string, string>
  floor: boolean
  downgrade: boolean
  blocked: { at: string; why: string } | null
  notes: string
  created_at: string
  created_by: string
}

export interface Blocked {
  changed: boolean
  paused: string[]
  waiting: string[]
  runs_on: { devices: number; whole: boolean }
}

export interface Release {
  name: string
  notes: string
  entries: { module: string; version: string | null; action: string }[]
  created_at: string
  created_by: string
}

export interface Token {
  id: number
  name: string
  roles: string[]
  selector: string | null
  uses_left: number | null
  expires_at: string | null
  created_at: string
  created_by: string
  revoked_at: string | null
  token?: string
}

export interface Webhook {
  name: string
  url: string
  kinds: string[]
  selector: string | null
  enabled: boolean
  behind: number
  retry_at: string | null
  failing_since: string | null
  last_error: string
  delivered: number
  dead: number
  secret?: string
}
