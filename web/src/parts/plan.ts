// SPDX-License-Identifier: Apache-2.0
// A plan as one reads it before the start: what it will do to whom, in which order, at which cost.

import { h, type Child, type Described } from '../base/dom'
import { bytes, count, percent, roughly, some, words } from '../base/format'
import type { GateRules, ModuleVersion, Opening, Plan, PlanClass, PlanStage, Rollout, Strategy, Threshold, Windows } from '../base/types'
import { chancesView } from './chances'
import { stageLink } from './grid'
import { deviceLink } from './steps'
import { empty, table } from './table'
import { icon } from '../base/icon'

const ORDERS: Record<string, string> = {
  wave_first: 'A wave finishes all layers, then the next wave begins.',
  layer_first: 'The whole fleet finishes a layer, then the next layer begins.',
  pipelined: 'A layer opens in a wave as soon as the layer before and the wave before have passed it.',
}

/** "app 1.0.0 → 1.1.0" */
function change(from: ModuleVersion[], to: ModuleVersion): string {
  const before = from.find((f) => f.module === to.module)?.version
  if (to.version === null) return `${to.module} ${before ?? ''} is removed`
  return before ? `${to.module} ${before} → ${to.version}` : `${to.module} ${to.version} is new`
}

function classRow(c: PlanClass): Described {
  const changes = c.to.flatMap((layer, i) => layer.map((to) => h('li', { key: to.module }, h('small', {}, `L${i} `), change(c.from, to))))
  return h('tr', { key: `${c.class}` }, h('td', { class: 'number' }, count(c.devices)), h('td', {}, words(c.kind), c.example && h('small', {}, ' as ', deviceLink(c.example))),
    h('td', {}, changes.length > 0 ? h('ul', { class: 'bare' }, changes) : c.reason || 'nothing to do'))
}

function stageCell(s: PlanStage | undefined): Child {
  if (!s) return h('span', { class: 'quiet' }, 'nothing to do')
  return [
    h('b', {}, some(s.devices, 'device')),
    h('span', {}, s.bytes_delta === null ? `${bytes(s.bytes_full)} in full` : `${bytes(s.bytes_delta)} as deltas, ${bytes(s.bytes_full)} in full`),
    s.deltas_to_build > 0 && h('span', {}, `${some(s.deltas_to_build, 'delta')} to build${s.forecast?.build_s ? `, ${roughly(s.forecast.build_s)} of processor time` : ''}`),
    s.forecast && h('span', { title: `95 % ask within ${roughly(s.forecast.reach_p95_s)}; every deadline has passed after ${roughly(s.forecast.time_max_s)}` }, `about ${roughly(s.forecast.time_s)}`),
    s.forecast && s.forecast.never_seen > 0 && h('span', {}, `${count(s.forecast.never_seen)} never seen`),
    s.no_way_back > 0 && h('span', { class: 'bad' }, icon('warning'), `no way back for ${count(s.no_way_back)}`),
  ]
}

function cell(wave: number, s: PlanStage | undefined, link?: (s: PlanStage) => string): Described {
  const content = [h('span', { class: 'wave-name' }, `Wave ${wave}`), stageCell(s)]
  return s && link ? h('a', { class: 'cell idle', href: link(s) }, content) : h('div', { class: 'cell idle' }, content)
}

/** `link`: where the stages have their pages; a preview has none. */
function stages(plan: Plan, link?: (s: PlanStage) => string): Described {
  const find = (layer: number, wave: number) => plan.stages.find((s) => s.layer === layer && s.wave === wave)
  return h('div', { class: 'scroll grid-scroll', tabindex: 0, role: 'region', 'aria-label': 'Planned stages' }, h('table', { class: 'grid planned', role: 'table' },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, h('td', { role: 'cell' }), plan.waves.map((w) => h('th', { scope: 'col', role: 'columnheader' }, `Wave ${w.wave} `, h('small', {}, [w.name, some(w.devices, 'device')].filter(Boolean).join(' · ')))))),
    h('tbody', { role: 'rowgroup' }, plan.layers.map((l) => h('tr', { role: 'row' },
      h('th', { scope: 'row', role: 'rowheader' }, `Layer ${l.layer}`, h('small', {}, l.units.map((u) => u.join(' + ')).join(', '))),
      plan.waves.map((w) => h('td', { role: 'cell' }, cell(w.wave, find(l.layer, w.wave), link))))))))
}

function threshold(t: Threshold | undefined, verb: string, all: string): string {
  return `${percent((t?.percent ?? 0) / 100)} ${verb}${t?.minimum ? ` of at least ${some(t.minimum, 'outcome')}` : all}`
}

/** What must hold before a stage has succeeded; each kind must pass, one that fails fails it. */
function gateRules(g: GateRules): [string, string][] {
  const { sprt, bayes } = g
  return [
    ...(g.success ? [['A stage succeeds', `when ${threshold(g.success, 'confirm', ', and all have ended')}`] as [string, string]] : []),
    ...(g.error ? [['A stage fails', `when more than ${threshold(g.error, 'fail', '')}`] as [string, string]] : []),
    ...(g.stop ?? []).map((s): [string, string] => ['A stage fails', `when more than ${percent(s.threshold / 100)} are ${words(s.type)}, of at least ${count(s.min_executed ?? 1)}`]),
    ...(sprt ? [['Sequential test', `tells ${percent(sprt.p0_percent / 100)} of failures from ${percent(sprt.p1_percent / 100)}: stops a good release with a chance of ${percent(sprt.alpha)}, passes a bad one with ${percent(sprt.beta)}`] as [string, string]] : []),
    ...(bayes ? [['Bayesian', `passes when more than ${percent(bayes.limit_percent / 100)} fail with a probability of at most ${percent(bayes.pass_below)}, fails at ${percent(bayes.fail_above)}`] as [string, string]] : []),
    ...(g.external ? [['A verdict', `from outside within ${roughly(g.external.within_s)}; none is inconclusive`] as [string, string]] : []),
    ...(g.manual ? [['A person', 'must promote each stage'] as [string, string]] : []),
    ...(g.carry ? [['Evidence', 'of an undecided wave counts in the next one'] as [string, string]] : []),
  ]
}

/** How fast it goes, and what keeps devices from being away at the same time. */
function paceRules(s: Strategy): [string, string][] {
  const { max_per_minute: rate, ramp, max_unavailable: group } = s.pace ?? {}
  const step = ramp && (ramp.succeeded ? `${some(ramp.succeeded, 'device')} that succeeded` : `${some(ramp.notified ?? 0, 'device')} that were offered it`)
  return [
    ['At once', s.max_in_flight ? `at most ${some(s.max_in_flight, 'device')}` : 'as many as ask'],
    ...(rate ? [['A minute', `at most ${some(rate, 'device')}`] as [string, string]] : []),
    ...(ramp ? [['Ramp', `${some(ramp.base_per_minute, 'device')} a minute at first, times ${ramp.increment_factor} for every ${step}`] as [string, string]] : []),
    ...(group ? [['Together', `at most ${some(group.devices, 'device')} of one ${group.by} are away`] as [string, string]] : []),
    ...(s.retries ?? []).map((r): [string, string] => ['Tried again', `${words(r.type)} (${r.causes.join(', ')}): ${r.attempts} attempts${r.backoff_s ? `, after ${roughly(r.backoff_s)}, then ${r.factor} times as long` : ''}`]),
    ...(s.rollback ? [['A rollback', `begins with ${some(s.rollback.first, 'device')} of a stage and pauses when more than ${percent(s.rollback.error_percent / 100)} of them fail to go back`] as [string, string]] : []),
  ]
}

/** Who comes when, and who stays outside. */
function memberRules(s: Strategy): [string, string][] {
  return [
    ...(s.early ? [['First of all', `test devices: ${s.early}`] as [string, string]] : []),
    ...(s.strata && s.strata.length > 0 ? [['Each wave', `has its share of each ${s.strata.join(', ')}`] as [string, string]] : []),
    ...(s.conflicts === 'leave_out' ? [['Left out', 'devices whose requirements cannot be met'] as [string, string]] : []),
    ...(s.joiners === 'last_wave' ? [['New devices', `join the last wave until it is opened${s.max_joiners ? `, ${count(s.max_joiners)} at most` : ''}`] as [string, string]] : []),
  ]
}

function openings(name: string, rules: Opening[] | undefined, w: Windows): [string, string][] {
  const zone = w.zone_of ? `by the zone in ${w.zone_of}, or ${w.zone}` : w.zone
  return (rules ?? []).map((r) => [name, `${r.cron ?? r.rrule ?? ''} for ${roughly(r.duration_s)} (${zone})`])
}

/** The strategy in sentences. */
function rules(s: Strategy): [string, string][] {
  return [
    ['Order', ORDERS[s.order ?? 'wave_first'] ?? s.order ?? ''],
    ...memberRules(s), ...gateRules(s.gate ?? {}),
    ...(s.soak_s ? [['Soak', `it must hold for ${roughly(s.soak_s)}`] as [string, string]] : []),
    ['On failure', { pause: 'it pauses and waits for a person', stop: 'it stops', rollback: 'it rolls back' }[s.on_failure ?? 'pause'] ?? ''],
    ['A device has', `${roughly(s.reach_s ?? 0)} to be reached, ${roughly(s.install_s ?? 0)} to install, and ${roughly(s.probation_s ?? 0)} of probation`],
    ...paceRules(s),
    ...(s.windows ? [...openings('Delivered from', s.windows.delivery, s.windows), ...openings('Switches from', s.windows.switch, s.windows)] : []),
  ]
}

function refusals(plan: Plan): Described | false {
  return plan.refusals.length > 0 && h('section', { class: 'refusals' }, h('h2', {}, 'What stands against it'),
    h('ul', { class: 'card' }, plan.refusals.map((r) => h('li', {}, h('b', {}, icon('failed'), r.reason), r.devices > 0 && [` (${some(r.devices, 'device')}`, r.example && [', as ', deviceLink(r.example)], ')'],
      h('ol', {}, r.chain.map((line) => h('li', {}, line)))))))
}

const TOTALS: Record<string, string> = { noop: 'are up to date', incompatible: 'cannot take it', held: 'held by another rollout' }

function totals(plan: Plan): Described {
  const tile = (name: string, value: string, ...note: Child[]) => h('div', { class: 'tile', key: name }, h('dt', {}, name), h('dd', {}, h('b', {}, value), h('small', {}, note)))
  const others = Object.entries(TOTALS).filter(([key]) => (plan.totals[key] ?? 0) > 0).map(([key, text]) => `${count(plan.totals[key] ?? 0)} ${text}`)
  const full = plan.stages.reduce((n, s) => n + s.bytes_full, 0)
  const least = plan.stages.reduce((n, s) => n + (s.bytes_delta ?? s.bytes_full), 0)
  const peak = Math.max(0, ...plan.stages.map((s) => s.forecast?.peak_bytes_s ?? 0))
  const forever = Math.max(0, ...plan.stages.map((s) => s.no_way_back))
  return h('dl', { class: 'tiles' },
    tile('To update', count(plan.totals['update'] ?? 0), others.join(', ') || `of ${some(plan.totals['devices'] ?? 0, 'device')}`),
    tile('Bytes', bytes(least), least < full ? `${bytes(full)} without deltas` : 'in full; deltas are built meanwhile'),
    plan.forecast && tile('Time', `about ${roughly(plan.forecast.time_s)}`, plan.forecast.observed ? 'from rollouts that have been' : 'nothing was observed yet'),
    plan.forecast && tile('Peak', `${bytes(peak)}/s`, `${count(Math.max(0, ...plan.stages.map((s) => s.forecast?.peak_offers_s ?? 0)))} devices a second`),
    tile('No way back', count(forever), forever === 0 ? 'every device can go back' : 'devices at the most'))
}

/** The plan; with its rollout also the rules and the digest that it was approved by. */
export function planView(plan: Plan | null, rollout?: Rollout): Child {
  if (!plan) return empty('There is no plan.', rollout?.reason || 'It is being made.')
  return [
    refusals(plan), totals(plan),
    plan.notes.length > 0 && h('ul', { class: 'card notes' }, plan.notes.map((n) => h('li', {}, n))),
    plan.stages.length > 0 && [h('section', {}, h('h2', {}, 'Stages'), stages(plan, rollout && ((s) => stageLink(rollout.name, s)))), chancesView(plan)],
    h('div', { class: 'columns' },
      rollout && h('section', { key: 'rules' }, h('h2', {}, 'Rules'), h('dl', { class: 'card facts' }, rules(rollout.strategy).map(([name, text]) => [h('dt', {}, name), h('dd', {}, text)]),
        h('dt', {}, 'Digest'), h('dd', {}, h('code', { class: 'long' }, plan.digest)), h('dt', {}, 'Seed'), h('dd', {}, String(plan.seed)))),
      plan.classes.length > 0 && h('section', { key: 'classes' }, h('h2', {}, 'What changes on devices'), table('Classes of devices', ['#Devices', 'Class', 'Changes'], plan.classes.map(classRow)))),
  ]
}
