// SPDX-License-Identifier: Apache-2.0
// What a stage or a rollout waits for, in a sentence.

import { clock, roughly, stageName } from '../base/format'
import type { Rollout, Stage, Stats } from '../base/types'

/** The stages that must succeed before this one opens. */
function needs(rollout: Rollout, layer: number, wave: number): string[] {
  const order = rollout.strategy.order ?? 'wave_first'
  const before: [number, number][] = []
  if (order === 'pipelined') before.push([layer - 1, wave], [layer, wave - 1])
  else if (order === 'layer_first') before.push(wave > 0 ? [layer, wave - 1] : [layer - 1, rollout.waves - 1])
  else before.push(layer > 0 ? [layer - 1, wave] : [rollout.layers - 1, wave - 1])
  return before.filter(([l, w]) => l >= 0 && w >= 0).map(([l, w]) => stageName(l, w))
}

/** What the server says of open stages, by name; a list does without. */
export type Explained = Map<string, string>

export function stageSentence(rollout: Rollout, stage: Stage, explained?: Explained): string {
  if (stage.state === 'pending') {
    const before = needs(rollout, stage.layer, stage.wave)
    return before.length > 0 ? `opens after ${before.join(' and ')}` : 'opens at the start'
  }
  if (stage.state === 'soaking') {
    if (stage.soak_until === null) return `${stage.gate.text}; its soak stands still`
    const left = (Date.parse(stage.soak_until) - Date.now()) / 1000
    return left > 0 ? `${stage.gate.text}; ${roughly(left)} of soak left` : stage.gate.text
  }
  const said = explained?.get(stageName(stage.layer, stage.wave))
  if (said && stage.state === 'running') return said.replace(/^it /, '')
  if (stage.state.startsWith('roll')) return ''
  // the line above it says how many have confirmed
  return stage.state === 'succeeded' ? stage.gate.text.replace(/^\d+ of \d+ confirmed, /, '') : stage.gate.text
}

const NOW: Record<string, string> = {
  draft: 'Not planned yet.',
  planning: 'The plan is being made.',
  waiting_approval: 'Planned; waits for approval.',
  denied: 'Denied: it will not run.',
  ready: 'Planned. Nothing is delivered before it is started: read the plan, then start it.',
  scheduled: 'Starts at its time.',
  starting: 'The steps of the devices are being written.',
  stopping: 'Nobody else is offered it; devices that install may finish.',
  stopped: 'Stopped for good. Confirmed devices keep what they have.',
  rolling_back: 'Devices go back to what they ran before, the last layer first.',
  rolled_back: 'Every device that could go back runs what it ran before.',
  completed: 'Every stage has succeeded.',
  failed: 'It cannot go on.',
}

/** What happens now, in one line. */
export function rolloutSentence(rollout: Rollout, stats: Stats | null, explained?: Explained): string {
  const open = stats?.stages.filter((s) => s.state === 'running' || s.state === 'soaking') ?? []
  if (rollout.state === 'scheduled' && rollout.start_at) return `Starts at ${clock(rollout.start_at)}.`
  if (rollout.state === 'paused') return 'Nothing more is offered; its clocks stand still.'
  if (rollout.state === 'running' && open.length > 0)
    return open.slice(0, 3).map((s) => `Layer ${s.layer} of wave ${s.wave}: ${stageSentence(rollout, s, explained)}`).join('. ') + '.'
  if (rollout.state === 'failed' && !rollout.started_at) return 'It cannot be carried out: read in its plan what stands against it, then make another.'
  return NOW[rollout.state] ?? ''
}
