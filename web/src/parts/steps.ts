// SPDX-License-Identifier: Apache-2.0
// Steps of devices as a list.

import { h, type Described } from '../base/dom'
import { ago, stageName } from '../base/format'
import type { Step } from '../base/types'
import { stageLink } from './grid'
import { stateText } from './state'
import { table } from './table'

export const deviceLink = (id: string): Described => h('a', { href: `#/devices/${encodeURIComponent(id)}` }, id)

function row(rollout: string, s: Step): Described {
  return h('tr', { key: `${s.device} ${stageName(s.layer, s.wave)} ${s.state}` },
    h('th', { scope: 'row' }, deviceLink(s.device)),
    h('td', {}, h('a', { href: stageLink(rollout, s) }, stageName(s.layer, s.wave))),
    h('td', {}, stateText(s.state), s.attempt > 1 && h('small', {}, ` attempt ${s.attempt}`)),
    h('td', {}, s.cause === 'none' ? '' : s.cause), h('td', { class: 'said' }, s.detail), h('td', { class: 'time' }, ago(s.changed_at)))
}

export function stepsTable(rollout: string, steps: Step[], label: string): Described {
  return table(label, ['Device', 'Stage', 'State', 'Cause', 'What it said', 'When'], steps.map((s) => row(rollout, s)))
}
