// SPDX-License-Identifier: Apache-2.0
// Pages as expressions. h() describes an element; show() makes what is on the page equal to a
// description and touches only what differs, so that focus, selection, scroll position and running
// transitions outlive an update. Text goes in as text, never as HTML.

type Handler = (event: Event) => void
type Prop = string | number | boolean | null | undefined | Handler
type Props = Record<string, Prop>

export interface Described {
  tag: string
  props: Props
  children: (Described | string)[]
}
export type Child = Described | string | number | null | undefined | false | Child[]

/** A node that show() made, with what it was made from. */
type Made = Node & { described?: Described; handlers?: Map<string, Handler> }

const SVG = 'http://www.w3.org/2000/svg'
const SVG_TAGS = new Set(['svg', 'rect', 'g', 'path', 'circle', 'line', 'polyline', 'text'])

function flat(child: Child, into: (Described | string)[]): void {
  if (Array.isArray(child)) child.forEach((c) => flat(c, into))
  else if (typeof child === 'object' && child !== null) into.push(child)
  else if (child !== null && child !== undefined && child !== false && child !== '') into.push(String(child))
}

/** h('a', { href: '#/x', key: 'x', onclick }, 'text', h('b')): an element. `key` tells it from its
 * siblings across updates; `grow` is its share of a flexible row. */
export function h(tag: string, props: Props = {}, ...children: Child[]): Described {
  const described: Described = { tag, props, children: [] }
  flat(children, described.children)
  return described
}

function listen(node: Made, key: string, handler: Handler | undefined): void {
  const type = key.slice(2)
  node.handlers ??= new Map()
  if (!node.handlers.has(type)) node.addEventListener(type, (event) => node.handlers?.get(type)?.(event))
  if (handler) node.handlers.set(type, handler)
  else node.handlers.delete(type)
}

function setProp(node: Made & HTMLElement, key: string, value: Prop): void {
  if (key === 'key') return
  if (key.startsWith('on')) listen(node, key, typeof value === 'function' ? value : undefined)
  else if (key === 'grow') node.style.flexGrow = String(value ?? 0)
  else if (key === 'value') (node as unknown as HTMLInputElement).value = String(value ?? '')
  else if (value === false || value === null || value === undefined) node.removeAttribute(key)
  else node.setAttribute(key, value === true ? '' : String(value))
}

function make(what: Described | string): Made {
  if (typeof what === 'string') return document.createTextNode(what)
  const node = SVG_TAGS.has(what.tag) ? document.createElementNS(SVG, what.tag) : document.createElement(what.tag)
  update(node, { tag: what.tag, props: {}, children: [] }, what)
  return node
}

function update(node: Made, old: Described, fresh: Described): void {
  const element = node as Made & HTMLElement
  // children first: the value of a select needs its options
  showAll(element, fresh.children)
  for (const key of Object.keys(old.props)) if (!(key in fresh.props)) setProp(element, key, undefined)
  for (const [key, value] of Object.entries(fresh.props)) if (old.props[key] !== value) setProp(element, key, value)
  node.described = fresh
}

const keyOf = (what: Described | string): string =>
  typeof what === 'string' ? '#text' : `${what.tag}/${String(what.props.key ?? '')}`

/** The children that are there, by tag and key, in order. */
function byKey(parent: Element): Map<string, Made[]> {
  const there = new Map<string, Made[]>()
  for (const node of parent.childNodes as Iterable<Made>) {
    const key = node.described ? keyOf(node.described) : node.nodeType === Node.TEXT_NODE ? '#text' : 'foreign'
    const list = there.get(key)
    if (list) list.push(node)
    else there.set(key, [node])
  }
  return there
}

function fit(node: Made | undefined, what: Described | string): Made {
  if (!node) return make(what)
  if (typeof what === 'string') {
    if (node.nodeValue !== what) node.nodeValue = what
  } else if (node.described) update(node, node.described, what)
  return node
}

function showAll(parent: Element, children: (Described | string)[]): void {
  const there = byKey(parent)
  let place: ChildNode | null = parent.firstChild
  for (const child of children) {
    const node = fit(there.get(keyOf(child))?.shift(), child) as ChildNode
    if (node === place) place = place.nextSibling
    else parent.insertBefore(node, place)
  }
  while (place) {
    const next: ChildNode | null = place.nextSibling
    place.remove()
    place = next
  }
}

/** Make the children of `parent` what is described. */
export function show(parent: Element, ...children: Child[]): void {
  const list: (Described | string)[] = []
  flat(children, list)
  showAll(parent, list)
}

/** The element with this id; index.html has it. */
export function byId(id: string): HTMLElement {
  const node = document.getElementById(id)
  if (!node) throw new Error(`no element #${id}`)
  return node
}
