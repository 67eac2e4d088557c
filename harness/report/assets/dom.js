// Elements are only ever built here. Text becomes text nodes; nothing from the data is parsed as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

function badge(state, word) {
  const mark = data.states[state];
  return h("span", { class: `badge s-${state}`, title: word ? null : mark.meaning }, h("span", { class: "symbol", "aria-hidden": "true" }, mark.symbol), " ", word || mark.word);
}

function seconds(value) {
  if (value >= 90) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return value >= 10 ? `${value.toFixed(1)} s` : value >= 1 ? `${value.toFixed(2)} s` : `${Math.round(value * 1000)} ms`;
}

function number(value) {
  return value.toLocaleString("en");
}

/** A source as a link when it is a plain web address, as text otherwise. */
function sourced(text) {
  return /^https?:\/\/[^\s"'<>]+$/.test(text) ? h("a", { href: text, rel: "noreferrer noopener" }, text) : text;
}

let silence = 0;
function say(text) {
  byId("said").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { byId("said").textContent = ""; }, 2500);
}

async function copyText(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied: ${what}`);
  } catch {
    // Without the clipboard permission: a selection and the older command.
    const area = h("textarea", { readonly: true, class: "unseen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    say(done ? `Copied: ${what}` : "This browser does not allow copying; select the text instead");
  }
}

function copyButton(label, what, text) {
  return h("button", { type: "button", class: "copy", onclick: () => copyText(text(), what) }, label);
}

function command(label, text) {
  return h("div", { class: "command" },
    h("div", { class: "command-head" }, h("span", {}, label), copyButton("Copy", label, () => text)),
    h("pre", { tabindex: "0" }, h("code", {}, text)));
}
