// The heat map: dims what the filters leave out, explains a cell on hover and focus, and moves by arrow keys.

// A filter answers at once: the list, the count and the small maps. Maps with thousands of cells follow once that is on the
// screen, one in each frame, and those out of sight when the page is idle.

let facets = [];
let shown = null;

function prepareMaps() {
  let place = 0;
  facets = [...document.querySelectorAll("#maps .facet")].map((element) => {
    const links = [...element.querySelectorAll(".map a")];
    const facet = { element, links, indices: data.cells.slice(place, place + links.length), near: false, ready: false, stale: true, wanted: true };
    place += links.length;
    return facet;
  });
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const facet = facets.find((one) => one.element === entry.target);
      facet.near = entry.isIntersecting;
      if (facet.near) bringUp(facet);
    }
  });
  for (const facet of facets) watcher.observe(facet.element);
  window.addEventListener("beforeprint", () => facets.forEach(dim));
  const maps = byId("maps");
  maps.addEventListener("mouseover", (event) => hint(event.target.closest(".map a")));
  maps.addEventListener("mouseleave", () => hint(null));
  maps.addEventListener("focusin", (event) => hint(event.target.closest(".map a")));
  maps.addEventListener("focusout", () => hint(null));
  maps.addEventListener("keydown", walk);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hint(null); });
}

function bringUp(facet) {
  if (!facet.ready) {
    facet.ready = true;
    const current = facet.links.includes(document.activeElement) ? document.activeElement : facet.links[0];
    for (const link of facet.links) {
      link.removeAttribute("title"); // the hint says more
      if (link !== current) link.tabIndex = -1;
    }
  }
  dim(facet);
}

/** Brings the cells of a map in line with the filters. */
function dim(facet) {
  if (shown === null || !facet.stale) return;
  facet.stale = false;
  for (const [place, link] of facet.links.entries()) link.classList.toggle("out", !shown[facet.indices[place]]);
}

const LARGE = 400;

function dimMaps(indices) {
  shown = new Uint8Array(data.combinations.length);
  for (const index of indices) shown[index] = 1;
  byId("key-out").hidden = indices.length >= data.asked - data.excluded;
  for (const facet of facets) {
    facet.stale = true;
    facet.wanted = facet.indices.some((index) => shown[index]);
    if (!facet.wanted) facet.element.hidden = true;
    else if (facet.links.length <= LARGE) bringBack(facet);
  }
  for (const model of document.querySelectorAll("#maps .model")) {
    model.hidden = facets.every((facet) => !facet.wanted || facet.element.parentElement !== model);
  }
  const tiny = byId("tiny-maps");
  if (tiny) {
    const inside = facets.filter((facet) => facet.wanted && tiny.contains(facet.element)).length;
    tiny.hidden = inside === 0;
    if (inside > 0 && inside === facets.filter((facet) => facet.wanted).length) tiny.open = true; // nothing else is left
  }
  if (!following) follow();
  catchUp();
}

function bringBack(facet) {
  if (facet.near || facet.element.hidden) dim(facet);
  facet.element.hidden = false;
}

let following = false;

/** Brings the large maps in line, one after each frame. */
function follow() {
  following = facets.some(isDue);
  if (!following) return;
  requestAnimationFrame(() => setTimeout(() => {
    const facet = facets.find(isDue);
    if (facet) bringBack(facet);
    follow();
  }, 0));
}

/** Whether a map is in sight, or is to come back, and does not show yet what the filters let through. */
function isDue(facet) {
  return facet.wanted && (facet.element.hidden || (facet.near && facet.stale));
}

let later = 0;

/** Brings the maps out of sight in line, one in each task, so that typing is never held up. */
function catchUp() {
  clearTimeout(later);
  later = setTimeout(() => {
    const facet = facets.find((one) => one.stale && !one.near && one.wanted);
    if (!facet) return;
    dim(facet);
    catchUp();
  }, 300);
}

/** The combination that a cell of a map stands for. */
function indexOfCell(cell) {
  const facet = facets.find((one) => one.element.contains(cell));
  return facet.indices[facet.links.indexOf(cell)];
}

function cellOf(id) {
  const index = data.byId.get(id)?.index;
  const facet = facets.find((one) => one.indices.includes(index));
  return facet ? facet.links[facet.indices.indexOf(index)] : null;
}

const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

function walk(event) {
  const step = STEPS[event.key];
  const cell = event.target.closest(".map a, .map button");
  if (!step || !cell || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const next = step[0] ? acrossRows(cell, step[0]) : acrossCells(cell, step[1]);
  if (!next) return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function acrossCells(cell, step) {
  const row = [...cell.closest("tr").querySelectorAll("a, button")];
  return row[row.indexOf(cell) + step];
}

function acrossRows(cell, step) {
  const column = cell.closest("td").cellIndex;
  let row = cell.closest("tr");
  while (row) {
    row = step > 0 ? row.nextElementSibling : row.previousElementSibling;
    const found = row && !row.hidden && row.cells[column] && row.cells[column].querySelector("a, button");
    if (found) return found;
  }
  return null;
}

/** What a cell means, beside it; none: no box. */
function hint(cell) {
  if (!cell) return boxAt(null, []);
  const entry = data.combinations[indexOfCell(cell)];
  const cause = causeOf(entry);
  return boxAt(cell, [
    h("strong", {}, titleOf(entry)),
    h("p", {}, badge(entry.status), " ", verdictWords(entry)),
    entry.level ? h("p", {}, `Evidence from any machine: ${levelWords(entry)}.`) : "",
    entry.source ? h("p", {}, `Records: ${entry.source}.`) : "",
    cause && cause.title ? h("p", {}, cause.title) : "",
    cause && cause.line && cause.line !== cause.title ? h("p", { class: "mono" }, cause.line.slice(0, 240)) : "",
    entry.note ? h("p", {}, entry.note) : "",
    entry.as_expected === false ? h("p", {}, `Not as expected: the matrix says ${entry.expected}.`) : "",
  ]);
}

function boxAt(cell, parts) {
  const box = byId("hint");
  document.querySelector("[aria-describedby=hint]")?.removeAttribute("aria-describedby");
  box.hidden = !cell;
  if (!cell) return;
  box.replaceChildren(...parts);
  cell.setAttribute("aria-describedby", "hint");
  const place = cell.getBoundingClientRect();
  const room = document.documentElement.clientWidth;
  const left = Math.min(Math.max(16, place.left), room - box.offsetWidth - 16);
  const below = place.bottom + 6 + box.offsetHeight < window.innerHeight || place.top < box.offsetHeight + 12;
  box.style.left = `${left + window.scrollX}px`;
  box.style.top = `${(below ? place.bottom + 6 : place.top - box.offsetHeight - 6) + window.scrollY}px`;
}

/** The scan's map: the same box and the same arrow keys, one cell of it in the order of the Tab key. */
function prepareScan() {
  const map = document.querySelector("#scan .map");
  if (!map) return;
  for (const [place, cell] of [...map.querySelectorAll("button")].entries()) {
    cell.dataset.why = cell.title; // the box says it, to the keyboard too
    cell.removeAttribute("title");
    cell.tabIndex = place ? -1 : 0;
  }
  const tell = (event) => {
    const cell = event.target.closest("button");
    boxAt(cell, cell ? cell.dataset.why.split("; ").map((line) => h("p", {}, line)) : []);
  };
  for (const name of ["mouseover", "focusin", "click"]) map.addEventListener(name, tell);
  for (const name of ["mouseleave", "focusout"]) map.addEventListener(name, () => boxAt(null, []));
  map.addEventListener("keydown", walk);
}
