// SPDX-License-Identifier: Apache-2.0
// What an operator can do with a rollout. Each act is asked for once more and says what it did.

import { api } from '../base/api'
import { h, type Child, type Described } from '../base/dom'
import { clock, some, stageName, words } from '../base/format'
import { ask, told } from '../base/notice'
import type { Rollout, Stats } from '../base/types'

interface Verb {
  verb: string
  label: string
  states: string[]
  roles: string[]
  look: string
  title: (r: Rollout) => string
  fields: (r: Rollout, stats: Stats | null) => Child
  body: (form: FormData, r: Rollout) => object
}

const why = (required = false): Child =>
  h('label', {}, 'Why (for the audit trail)', h('input', { name: 'why', maxlength: 200, autocomplete: 'off', required }))

const OPERATE = ['operator', 'admin']
const APPROVE = ['approver', 'admin']

const said = (form: FormData, field: string): string => String(form.get(field) ?? '').trim()

const reason = (form: FormData): object => (said(form, 'why') ? { why: said(form, 'why') } : {})

function choice(name: string, options: [string, string][], label: string): Child {
  return h('label', {}, label, h('select', { name }, options.map(([value, text]) => h('option', { value }, text))))
}

function radio(name: string, value: string, text: string, checked: boolean): Child {
  return h('label', { class: 'option' }, h('input', { type: 'radio', name, value, checked }), text)
}

/** Stages whose gate a person can pass. */
function passable(stats: Stats | null): [string, string][] {
  const open = stats?.stages.filter((s) => ['running', 'soaking', 'failed', 'inconclusive'].includes(s.state)) ?? []
  return open.map((s) => [stageName(s.layer, s.wave), `${stageName(s.layer, s.wave)}: ${words(s.state)}, ${s.gate.text}`])
}

const VERBS: Verb[] = [
  {
    verb: 'approve', label: 'Approve', states: ['waiting_approval'], roles: APPROVE, look: 'main',
    title: (r) => `Approve the plan of ${r.name}?`,
    fields: (r) => [h('p', {}, 'You agree with exactly this plan: ', h('code', {}, r.plan_digest), '. Have you read it?'), why()],
    body: (form, r) => ({ plan_digest: r.plan_digest, ...reason(form) }),
  },
  {
    verb: 'deny', label: 'Deny', states: ['waiting_approval'], roles: APPROVE, look: 'grave',
    title: (r) => `Deny the plan of ${r.name}?`,
    fields: () => [h('p', {}, 'It never starts; a better one needs another name.'), why(true)],
    body: (form, r) => ({ plan_digest: r.plan_digest, ...reason(form) }),
  },
  {
    verb: 'start', label: 'Start', states: ['ready', 'scheduled'], roles: OPERATE, look: 'main',
    title: (r) => `Start ${r.name}?`,
    fields: (r) => [
      h('p', {}, `${some(r.targets, 'device')} in ${some(r.waves, 'wave')} and ${some(r.layers, 'layer')}. What runs is the plan that you have read`,
        r.plan_digest && [' (', h('code', {}, r.plan_digest.slice(0, 12)), ')'], '.'),
      h('label', {}, 'At (now, if it is left empty)', h('input', { type: 'datetime-local', name: 'at' })),
      h('label', { class: 'option' }, h('input', { type: 'checkbox', name: 'drift' }), 'Leave out devices that have changed since it was planned'),
    ],
    body: (form, r) => ({ ...(r.plan_digest && { plan_digest: r.plan_digest }), ...(form.get('drift') && { accept_drift: true }), ...(said(form, 'at') && { at: new Date(said(form, 'at')).toISOString() }) }),
  },
  {
    verb: 'pause', label: 'Pause', states: ['scheduled', 'starting', 'running', 'rolling_back'], roles: OPERATE, look: '',
    title: (r) => `Pause ${r.name}?`,
    fields: (r) => [h('p', {}, r.state === 'scheduled' ? 'It does not start by itself any more.' : 'Nothing more is offered and the clocks stand still. Devices that have begun go on.'), why()],
    body: reason,
  },
  {
    verb: 'resume', label: 'Resume', states: ['paused'], roles: OPERATE, look: 'main',
    title: (r) => `Resume ${r.name}?`,
    fields: (r) => h('p', {}, 'It goes on where it was.', r.reason && ` It was paused: ${r.reason}.`),
    body: () => ({}),
  },
  {
    verb: 'promote', label: 'Promote', states: ['running', 'paused'], roles: OPERATE, look: '',
    title: () => 'Pass a gate by hand?',
    fields: (_, stats) => [
      h('p', {}, 'The stage counts as succeeded, whatever its gate has seen; the next one opens.'),
      choice('stage', passable(stats), 'Stage'),
    ],
    body: (form) => ({ stage: said(form, 'stage') }),
  },
  {
    verb: 'verdict', label: 'Verdict', states: ['running', 'paused'], roles: OPERATE, look: '',
    title: () => 'Give the verdict that a gate waits for?',
    fields: (_, stats) => [
      h('p', {}, 'What a pipeline or a monitoring system would post, by hand.'),
      choice('stage', passable(stats), 'Stage'),
      choice('verdict', [['pass', 'pass'], ['fail', 'fail'], ['inconclusive', 'inconclusive']], 'Verdict'), why(),
    ],
    body: (form) => ({ stage: said(form, 'stage'), verdict: said(form, 'verdict'), reporter: 'dashboard', ...reason(form) }),
  },
  {
    verb: 'retry', label: 'Retry', states: ['running', 'paused', 'completed'], roles: OPERATE, look: '',
    title: () => 'Offer it again to devices that failed?',
    fields: (_, stats) => h('p', {}, `${some(stats ? stats.total.failed + stats.total.timed_out : 0, 'device')} failed. They try again in their stages.`),
    body: () => ({}),
  },
  {
    verb: 'stop', label: 'Stop', states: ['waiting_approval', 'ready', 'scheduled', 'starting', 'running', 'paused'], roles: OPERATE, look: 'grave',
    title: (r) => `Stop ${r.name} for good?`,
    fields: (r, stats) => r.started_at === null ? h('p', {}, 'It has delivered nothing, and never will.') : [
      h('p', {}, 'It cannot be started again. ', stats ? `${some(stats.total.confirmed, 'confirmed device')} keep the new versions.` : 'Confirmed devices keep the new versions.'),
      h('fieldset', {}, h('legend', {}, 'Devices that are under way'),
        radio('in_flight', 'finish', 'may finish', true), radio('in_flight', 'cancel', 'are called back unless they install already', false)),
    ],
    body: (form) => ({ in_flight: said(form, 'in_flight') }),
  },
  {
    verb: 'rollback', label: 'Roll back', states: ['running', 'paused', 'stopped', 'completed', 'failed'], roles: OPERATE, look: 'grave',
    title: (r) => `Roll ${r.name} back?`,
    fields: (_, stats) => [
      h('p', {}, 'Devices go back to what they ran before, in reverse order of layers. Devices that a newer rollout has changed are left alone.'),
      choice('wave', [['', 'every wave'], ...(stats?.waves.map((w): [string, string] => [String(w.wave), `wave ${w.wave} (${some(w.devices, 'device')})`]) ?? [])], 'Of'),
      why(),
    ],
    body: (form) => ({ ...(said(form, 'wave') && { wave: Number(said(form, 'wave')) }), ...reason(form) }),
  },
]

async function act(v: Verb, rollout: Rollout, stats: Stats | null): Promise<void> {
  const form = await ask({ title: v.title(rollout), body: v.fields(rollout, stats), yes: v.label, grave: v.look === 'grave' })
  if (!form) return
  await told(async () => {
    const done = await api.verb(rollout.name, v.verb, v.body(form, rollout))
    const end = done.until ? ` until ${clock(done.until)}` : ''
    return done.may_still_switch > 0 ? `${done.did}; ${some(done.may_still_switch, 'device')} may still switch${end}` : done.did
  })
}

function useful(v: Verb, rollout: Rollout, stats: Stats | null): boolean {
  if (!v.states.includes(rollout.state)) return false
  if (v.verb === 'rollback') return rollout.started_at !== null
  if (v.verb === 'promote') return passable(stats).length > 0
  if (v.verb === 'verdict') return rollout.strategy.gate?.external !== undefined && passable(stats).length > 0
  if (v.verb === 'retry') return stats !== null && stats.total.failed + stats.total.timed_out > 0
  return true
}

/** The buttons that make sense now. */
export function verbButtons(rollout: Rollout, stats: Stats | null, roles: string[]): Described {
  return h('div', { class: 'verbs', role: 'group', 'aria-label': 'What can be done' }, VERBS.filter((v) => v.roles.some((r) => roles.includes(r)) && useful(v, rollout, stats)).map((v) =>
    h('button', { key: v.verb, 'data-verb': v.verb, class: v.look, onclick: () => void act(v, rollout, stats) }, v.label)))
}
