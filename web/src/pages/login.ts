// SPDX-License-Identifier: Apache-2.0
// Ask for a token.

import { api, Problem, token } from '../base/api'
import { byId, h, show } from '../base/dom'
import { sentence } from '../base/notice'

function refusal(error: unknown): string {
  if (error instanceof Problem && error.status === 401)
    return 'fleetd does not know this token. Was it copied whole (flt_…), and not revoked or expired?'
  return error instanceof Problem ? sentence(error) : 'fleetd does not answer; try again in a moment.'
}

export function loginPage(page: Element, done: () => void): void {
  async function submit(event: Event): Promise<void> {
    event.preventDefault()
    token.set((byId('token') as HTMLInputElement).value.trim())
    try {
      await api.whoami()
      done()
    } catch (error) {
      token.forget()
      draw(refusal(error))
      byId('token').focus()
    }
  }
  function draw(why: string): void {
    show(page, h('form', { class: 'login card', onsubmit: (e) => void submit(e) },
      h('h1', {}, 'fleetd'),
      h('label', {}, 'Token', h('input', {
        type: 'password', id: 'token', autocomplete: 'off', spellcheck: 'false', required: true,
        'aria-invalid': why ? 'true' : null, 'aria-describedby': 'why',
      })),
      h('p', { id: 'why', class: 'bad', role: 'alert' }, why),
      h('button', { type: 'submit', class: 'main' }, 'Sign in'),
      h('p', { class: 'quiet' }, 'The first start of fleetd printed an administrator’s token and keeps it in ', h('code', {}, 'admin.token'),
        ' in its data folder. Others are made with ', h('code', {}, 'fleetctl token create'), '. It is kept until this tab is closed.')))
  }
  draw('')
  byId('token').focus()
}
