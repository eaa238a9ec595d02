// SPDX-License-Identifier: Apache-2.0
// Elements as expressions. Text goes in as text, never as HTML.

export type Child = Node | string | number | null | undefined | false | Child[]
type Props = Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>

const SVG = 'http://www.w3.org/2000/svg'
const SVG_TAGS = new Set(['svg', 'rect', 'title', 'g', 'path', 'circle'])

function append(node: Element, child: Child): void {
  if (Array.isArray(child)) child.forEach((c) => append(node, c))
  else if (child instanceof Node) node.append(child)
  else if (child !== null && child !== undefined && child !== false) node.append(String(child))
}

function setProp(node: Element, key: string, value: Props[string]): void {
  if (typeof value === 'function') node.addEventListener(key.slice(2), value)
  else if (value === true) node.setAttribute(key, '')
  else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, String(value))
}

/** h('a', { href: '#/x', class: 'name' }, 'text', otherNode): a new element. */
export function h(tag: string, props: Props = {}, ...children: Child[]): HTMLElement {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag)
  for (const [key, value] of Object.entries(props)) setProp(node, key, value)
  append(node, children)
  return node as HTMLElement
}

/** Replace what `parent` holds. */
export function show(parent: Element, ...children: Child[]): void {
  const fresh = document.createDocumentFragment()
  const box = document.createElement('div')
  append(box, children)
  fresh.append(...box.childNodes)
  parent.replaceChildren(fresh)
}

/** The element with this id; index.html has it. */
export function byId(id: string): HTMLElement {
  const node = document.getElementById(id)
  if (!node) throw new Error(`no element #${id}`)
  return node
}

let noticeTimer = 0
/** Tell the person one sentence for a while. */
export function notice(text: string, kind: 'good' | 'bad' = 'good'): void {
  const box = byId('notice')
  show(box, h('p', { class: kind }, text))
  window.clearTimeout(noticeTimer)
  noticeTimer = window.setTimeout(() => show(box), kind === 'good' ? 4000 : 10000)
}
