// SPDX-License-Identifier: Apache-2.0
// The server's own explanations: sentences, the decisive one first.

import { h, type Described } from '../base/dom'
import type { DeviceExplanation, ExplanationLine } from '../base/types'
import { stageLink } from './grid'
import { badge } from './state'
import { empty } from './table'

export function explanation(lines: ExplanationLine[]): Described {
  return h('ul', { class: 'explanation' }, lines.map((l, i) => h('li', { key: `${l.code} ${i}`, 'data-code': l.code }, i === 0 ? h('b', {}, l.text) : l.text)))
}

function rollout(r: DeviceExplanation['rollouts'][number]): Described {
  const place = r.stage === null ? null : /^L(\d+)\.W(\d+)$/.exec(r.stage)
  return h('li', { key: r.rollout },
    h('p', { class: 'place' }, h('a', { href: `#/rollouts/${encodeURIComponent(r.rollout)}` }, r.rollout), ' ', badge(r.state),
      place && [' ', h('a', { href: stageLink(r.rollout, { layer: Number(place[1]), wave: Number(place[2]) }) }, r.stage)]),
    explanation(r.lines))
}

/** Why a device is offered what it is offered, or nothing. */
export function deviceExplanation(e: DeviceExplanation): Described {
  return h('section', {}, h('h2', {}, 'Why'), h('div', { class: 'card why' },
    e.lines.length > 0 && explanation(e.lines),
    e.rollouts.length > 0 ? h('ul', {}, e.rollouts.map(rollout)) : e.lines.length === 0 && empty('Nothing is to be said about it.')))
}
