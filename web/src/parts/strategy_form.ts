// SPDX-License-Identifier: Apache-2.0
// How a rollout shall go, as a form. What is left empty is left to the server's defaults.

import { h, type Child, type Described } from '../base/dom'
import { icon } from '../base/icon'

type Options = [value: string, text: string][]

export interface Wave {
  key: number
  size: string
}

export function field(label: string, name: string, hint: string, more: Record<string, string | number | boolean> = {}): Described {
  return h('label', { key: name }, label, h('input', { name, placeholder: hint, autocomplete: 'off', spellcheck: 'false', ...more }))
}

const number = (label: string, name: string, hint: string, min = 0, step = 'any'): Described => field(label, name, hint, { type: 'number', min, step })

export function select(label: string, name: string, options: Options, onchange?: (value: string) => void, chosen = ''): Described {
  return h('label', { key: name }, label, h('select', { name, value: chosen || options[0]?.[0], onchange: onchange && ((e) => onchange((e.target as HTMLSelectElement).value)) },
    options.map(([value, text]) => h('option', { value, key: value }, text))))
}

export const check = (label: string, name: string): Described => h('label', { class: 'option', key: name }, h('input', { type: 'checkbox', name }), label)

const GATES: Options = [['', 'confirmed and failed'], ['sprt', 'a sequential test'], ['bayes', 'a Bayesian test']]

function gateFields(gate: string): Described[] {
  if (gate === 'sprt')
    return [number('A good release fails on, %', 'p0_percent', '1'), number('A bad one on, %', 'p1_percent', '5'),
      number('Chance to stop a good one', 'alpha', '0.05'), number('Chance to pass a bad one', 'beta', '0.1')]
  if (gate === 'bayes')
    return [number('Failures at most, %', 'limit_percent', '5'), number('Passes below a probability of', 'pass_below', '0.05'), number('Fails at one of', 'fail_above', '0.95')]
  return [number('Passes with confirmed, %', 'success_percent', '95'), number('Fails above failed, %', 'error_percent', '5'), number('Of at least so many outcomes', 'error_minimum', '1', 1, '1')]
}

/** One input per wave, as --wave of fleetctl takes them. */
function waveRows(waves: Wave[], changed: (waves: Wave[]) => void): Child {
  const last = waves.length - 1
  const typed = (at: number) => (e: Event) => { const wave = waves[at]; if (wave) wave.size = (e.target as HTMLInputElement).value }
  return [
    h('ol', { class: 'waves' }, waves.map((w, i) => h('li', { key: String(w.key) },
      h('input', { 'aria-label': `Size of wave ${i}`, value: w.size, placeholder: i === last ? 'the rest' : '10%', spellcheck: 'false', autocomplete: 'off', oninput: typed(i), required: i !== last }),
      waves.length > 1 && h('button', { type: 'button', class: 'plain', 'aria-label': `Remove wave ${i}`, onclick: () => changed(waves.filter((other) => other !== w)) }, icon('close'))))),
    h('p', { class: 'quiet' }, 'Each is a number of devices (5), a share (10%), a selector (attribute.ring==lab), or twice the one before until all are in (x2). An empty last one takes the rest.'),
    h('button', { type: 'button', onclick: () => changed([...waves, { key: Math.max(...waves.map((w) => w.key)) + 1, size: '' }]) }, 'Another wave'),
  ]
}

export interface FormState {
  waves: Wave[]
  gate: string
}

/** Time zones to choose from: those of the browser, its own first. */
const zones = (): string[] => [Intl.DateTimeFormat().resolvedOptions().timeZone, ...Intl.supportedValuesOf('timeZone')]

/** The sections of the form about the strategy; `changed` draws them anew. */
export function strategyFields(state: FormState, changed: (state: FormState) => void): Child {
  return [
    h('fieldset', { class: 'card' }, h('legend', {}, 'Waves'), waveRows(state.waves, (waves) => changed({ ...state, waves })),
      h('div', { class: 'fields' },
        select('Order', 'order', [['', 'a wave finishes all layers'], ['layer_first', 'the fleet finishes a layer'], ['pipelined', 'both at once, as soon as it may']]),
        field('Test devices first (RSQL)', 'early', 'label.test==yes'), field('Every wave its share of each', 'strata', 'attribute.hw, label.region'))),
    h('fieldset', { class: 'card' }, h('legend', {}, 'Gate'),
      h('div', { class: 'fields' }, select('A stage is judged by', 'gate', GATES, (gate) => changed({ ...state, gate }), state.gate), gateFields(state.gate),
        number('Must stay good for, minutes', 'soak_min', '0'), select('If it fails', 'on_failure', [['', 'pause'], ['stop', 'stop'], ['rollback', 'roll back']])),
      check('A person must promote each stage', 'manual'), check('An undecided wave hands its evidence to the next one', 'carry')),
    h('details', { class: 'card' }, h('summary', {}, 'Pace, deadlines, approval'),
      h('div', { class: 'fields' },
        number('Devices at once', 'max_in_flight', 'no limit', 0, '1'), number('Devices a minute', 'max_per_minute', 'no limit', 0, '1'),
        number('Probation, seconds', 'probation_s', '30', 0, '1'), number('To install, minutes', 'install_min', '60'), number('To be reached, hours', 'reach_h', '168'),
        number('Drift before the start, %', 'max_drift_percent', '2'), number('Approvals', 'approvals', 'as the server demands', 0, '1'), field('By whom (names of tokens)', 'approvers', 'everybody who may'),
        select('Devices that cannot take it', 'conflicts', [['', 'refuse the plan'], ['leave_out', 'are left out']]),
        number('Priority among rollouts', 'priority', '0', 0, '1'), number('Joining devices at most', 'max_joiners', 'no limit', 0, '1')),
      check('New devices join the last wave', 'joiners'), check('Takes devices over from older rollouts of the same priority', 'supersede')),
    h('details', { class: 'card' }, h('summary', {}, 'Maintenance windows'),
      h('div', { class: 'fields' },
        field('Delivered from (cron or RRULE)', 'delivery', 'any time, or 0 22 * * mon-fri'), number('Stays open for, hours', 'delivery_h', '8'),
        field('Switches from (cron or RRULE)', 'switch', 'any time, or 0 2 * * *'), number('Stays open for, hours', 'switch_h', '2'),
        field('Clock of the time zone', 'zone', 'UTC', { list: 'zones' }), field('Or of the one that devices name in', 'zone_of', 'attribute.zone')),
      h('datalist', { id: 'zones' }, zones().map((zone) => h('option', { value: zone, key: zone }))),
      h('p', { class: 'quiet' }, 'Outside of them nothing is offered, and the times to reach devices, to install and to soak stand still. A rollback does not wait for them.')),
    h('details', { class: 'card' }, h('summary', {}, 'Further members of the strategy, as JSON'),
      h('label', {}, 'They replace those of the form', h('textarea', { name: 'json', rows: 6, spellcheck: 'false', placeholder: '{"pace": {"ramp": {"base_per_minute": 50, "increment_factor": 2, "succeeded": 1000}}}' }))),
  ]
}

/* ---- as JSON */

function waveOf(text: string): object {
  if (/^\d+$/.test(text)) return { count: Number(text) }
  if (/^\d+(\.\d+)?\s*%$/.test(text)) return { percent: parseFloat(text) }
  if (/^x\d+(\.\d+)?$/.test(text)) return { factor: Number(text.slice(1)) }
  return { selector: text }
}

/** An empty last one takes the rest, unless the one before doubles until all are in. */
function wavesOf(waves: Wave[]): object[] {
  const sizes = waves.map((w) => w.size.trim())
  const sized = sizes.filter(Boolean).map(waveOf)
  const rest = sizes.at(-1) === '' && !sized.some((w) => 'factor' in w)
  return rest ? [...sized, { percent: 100 }] : sized
}

/** One window, as the API takes them; none without a rule. */
function opening(rule: string, hours: number | undefined): object[] {
  return rule ? [{ [rule.includes('=') ? 'rrule' : 'cron']: rule, duration_s: hours }] : []
}

const listOf = (text: string): string[] => text.split(/[\s,]+/).filter(Boolean)

/** Only the members that have a value. */
function filled(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, v]) => v !== undefined && v !== '' && !(Array.isArray(v) && v.length === 0) && !(typeof v === 'object' && Object.keys(v as object).length === 0)))
}

/** What the form says, as the API's strategy; throws a sentence for JSON that is none. */
export function strategyOf(form: FormData, state: FormState): object {
  const text = (name: string) => String(form.get(name) ?? '').trim()
  const n = (name: string, factor = 1) => (text(name) === '' ? undefined : Number(text(name)) * factor)
  const kind: Record<string, unknown> = {
    '': { success: filled({ percent: n('success_percent') }), error: filled({ percent: n('error_percent'), minimum: n('error_minimum') }) },
    sprt: { sprt: filled({ p0_percent: n('p0_percent'), p1_percent: n('p1_percent'), alpha: n('alpha'), beta: n('beta') }) },
    bayes: { bayes: filled({ limit_percent: n('limit_percent'), pass_below: n('pass_below'), fail_above: n('fail_above') }) },
  }
  const chosen = kind[state.gate] as Record<string, object>
  const gate = { ...(state.gate ? chosen : filled(chosen)), ...filled({ manual: form.has('manual') || undefined, carry: form.has('carry') || undefined }) }
  const given = filled({
    waves: wavesOf(state.waves), gate, order: text('order'), early: text('early'), strata: listOf(text('strata')), on_failure: text('on_failure'), soak_s: n('soak_min', 60),
    max_in_flight: n('max_in_flight'), pace: filled({ max_per_minute: n('max_per_minute') }), probation_s: n('probation_s'), install_s: n('install_min', 60), reach_s: n('reach_h', 3600),
    windows: filled({ delivery: opening(text('delivery'), n('delivery_h', 3600) ?? 8 * 3600), switch: opening(text('switch'), n('switch_h', 3600) ?? 2 * 3600), zone: text('zone'), zone_of: text('zone_of') }),
    max_drift_percent: n('max_drift_percent'), approvals: n('approvals'), approvers: listOf(text('approvers')), conflicts: text('conflicts'), joiners: form.has('joiners') ? 'last_wave' : '', max_joiners: n('max_joiners'), priority: n('priority'), supersede: form.has('supersede') || undefined,
  })
  if (!text('json')) return given
  try {
    return { ...given, ...(JSON.parse(text('json')) as object) }
  } catch (error) {
    throw new Error(`the further members are no JSON object: ${error instanceof Error ? error.message : ''}`)
  }
}
