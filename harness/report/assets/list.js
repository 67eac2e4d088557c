// The list of combinations, the filter bar above the maps, and the sentence that says what is shown.

const COLUMNS = [
  ["state", "Verdict"], ["lmdeploy", "LMDeploy"], ["transformers", "transformers"], ["backend", "Backend"],
  ["model", "Model"], ["python", "Python"], ["family", "Reason"], ["seconds", "Time"],
];
const PAGE = 100;
const GROUPED = 12;
const AT_ONCE = 16;
const PER_FRAME = 40;
let room = PAGE;

function prepareFilters() {
  const asked = data.combinations.slice(0, data.asked);
  const axis = (name) => {
    const met = new Set(asked.map((entry) => entry.axes[name]));
    return data.axisByName.has(name) ? data.axisByName.get(name).values.filter((value) => met.has(value)) : [];
  };
  const variants = (name) => [...new Set(asked.map((entry) => variantOf(entry, name)))].sort();
  const levels = Object.keys(data.levels).filter((level) => asked.some((entry) => entry.level === level));
  const families = [...new Set(asked.map((entry) => entry.reason).filter(Boolean))].sort();
  const causes = data.causes.map((cause) => [cause.id, cause.title]);
  byId("filters").append(h("div", { class: "wide" },
    h("label", {}, "Text", h("input", { type: "search", id: "filter-q", placeholder: "id, name, message", autocomplete: "off", spellcheck: "false", oninput: changed("q") })),
    choice("state", "Verdict", Object.entries(data.states).map(([name, mark]) => [name, mark.word])),
    choice("family", "Family", families.map((name) => [name, name])),
    choice("cause", "Root cause", causes),
    ["backend", "model", "python", "lmdeploy", "transformers"].map((name) =>
      axis(name).length > 1 ? choice(name, data.axisByName.get(name).label, axis(name).map((value) => [value, value])) : ""),
    ["as_of", "launch", "source"].map((name) => (variants(name).length > 1 ? choice(name, VARIANTS[name], variants(name).map((value) => [value, value])) : "")),
    levels.length > 1 ? choice("level", "Level", levels.map((level) => [level, `${data.levels[level][0]} ${data.levels[level][1]}`])) : "",
    choice("only", "Only", [["unexpected", "not as expected"], ["flaky", "attempts that disagree"]]),
    choice("group", "Group by", [["cause", "root cause"], ["lmdeploy", "LMDeploy"], ["transformers", "transformers"], ["backend", "backend"], ["model", "model"]], "nothing"),
    choice("sort", "Sort by", COLUMNS.flatMap(([name, label]) => [[name, `${label} ↑`], [`-${name}`, `${label} ↓`]]), "version"),
    h("button", { type: "button", id: "reset", onclick: reset }, "Clear"),
    h("button", { type: "button", onclick: () => copyText(location.href, "link to this view") }, "Copy link")));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
}

function choice(name, label, options, none) {
  return h("label", {}, label, h("select", { id: `filter-${name}`, onchange: changed(name) },
    h("option", { value: "" }, none || "any"), options.map(([value, words]) => h("option", { value }, words))));
}

function changed(name) {
  return (event) => {
    setFilter(name, event.target.value);
    room = PAGE;
    refresh();
  };
}

function reset() {
  view.filters = {};
  history.replaceState(null, "", "#matrix");
  room = PAGE;
  refresh();
  byId("filter-q").focus();
}

/** Brings filter bar, maps and list in line with the view; returns what is shown. */
function refresh() {
  for (const name of KEPT) {
    const control = byId(`filter-${name}`);
    if (control && control.value !== (view.filters[name] || "")) control.value = view.filters[name] || "";
  }
  const indices = matching();
  dimMaps(indices);
  tally(indices);
  drawList(indices);
  return indices;
}

function tally(indices) {
  const counts = Object.fromEntries(Object.keys(data.states).map((state) => [state, 0]));
  for (const index of indices) counts[data.combinations[index].status] += 1;
  const excluded = counts.skipped ? 0 : data.excluded; // they stay out of the way unless they are asked for
  const all = indices.length === data.asked - excluded;
  const parts = Object.entries(data.states).flatMap(([state, mark]) => (counts[state] ? [`${number(counts[state])} ${mark.word}`] : []));
  byId("tally").textContent = indices.length
    ? `${all ? `All ${number(indices.length)}` : `${number(indices.length)} of ${number(data.asked)}`} combinations: ${parts.join(", ")}.${all && excluded ? ` ${number(excluded)} excluded ${excluded === 1 ? "is" : "are"} left out.` : ""}`
    : "No combination matches these filters.";
}

let drawing = 0;

function drawList(indices) {
  const order = sorted(indices);
  const groups = grouped(order);
  const plain = groups.length === 1 && !groups[0][0];
  const rows = [];
  const bodies = groups.slice(0, PAGE).map((group) => {
    const body = h("tbody", {});
    rows.push(...(plain ? group[2].slice(0, room).map((index) => () => listRow(index)) : groupRows(body, group, GROUPED)).map((make) => [body, make]));
    return body;
  });
  const left = plain ? order.length - room : 0;
  byId("list").replaceChildren(
    h("div", { class: "scroll" }, h("table", { class: "list" },
      h("caption", { class: "unseen" }, "Combinations that match the filters"),
      h("thead", {}, h("tr", {}, COLUMNS.map(heading))), bodies)),
    h("div", { class: "more" },
      left > 0 ? h("button", { type: "button", onclick: () => { room += PAGE * 2; drawList(indices); } }, `Show ${Math.min(left, PAGE * 2)} more`) : "",
      left > 0 ? h("span", { class: "soft" }, `${number(room)} of ${number(order.length)} shown`) : "",
      groups.length > PAGE ? h("span", { class: "soft" }, `${number(groups.length - PAGE)} smaller groups are left out; filter to see them`) : ""));
  drawing += 1;
  drawRows(rows, AT_ONCE, drawing);
}

/** Draws the first rows now and the others in the frames after: a filter answers at once, however much it lets through. */
function drawRows(rows, most, turn) {
  if (turn !== drawing) return; // the list was drawn anew meanwhile
  for (const [body, make] of rows.slice(0, most)) body.append(make());
  if (rows.length > most) requestAnimationFrame(() => drawRows(rows.slice(most), PER_FRAME, turn));
  else listDrawn();
}

/** Called once the list has all its rows; the place that an address names is looked for then. */
let listDrawn = () => {};

/** What draws a group's heading and its first rows. */
function groupRows(body, [title, state, members], most) {
  const all = () => body.replaceChildren(...groupRows(body, [title, state, members], most + PAGE).map((make) => make()));
  const head = () => h("tr", { class: "group" }, h("th", { colspan: COLUMNS.length, scope: "rowgroup" },
    state ? [badge(state), " "] : "", title, " ", h("span", { class: "soft" }, number(members.length)), " ",
    members.length > most ? h("button", { type: "button", onclick: all }, "Show more") : ""));
  return [head, ...members.slice(0, most).map((index) => () => listRow(index))];
}

function heading([name, label]) {
  const current = view.filters.sort || "";
  const direction = current === name ? "ascending" : current === `-${name}` ? "descending" : null;
  const next = direction === "ascending" ? `-${name}` : direction === "descending" ? "" : name;
  return h("th", { scope: "col", "aria-sort": direction, class: `of-${name}` },
    h("button", { type: "button", "data-sort": name, onclick: () => { setFilter("sort", next); refresh(); document.querySelector(`[data-sort="${name}"]`).focus(); } },
      label, direction ? h("span", { "aria-hidden": "true" }, direction === "ascending" ? " ↑" : " ↓") : ""));
}

function reasonWords(entry) {
  const cause = causeOf(entry);
  return cause ? `${stageWord(entry.stage)}: ${cause.title}` : "";
}

function listRow(index) {
  const entry = data.combinations[index];
  const { backend, model } = entry.axes;
  const time = secondsOf(entry);
  const cell = (name) => h("td", { class: `version of-${name}` }, entry.axes[name] ?? "—");
  return h("tr", {},
    h("td", {}, h("a", { href: combinationHash(entry.id), "aria-label": `${data.states[entry.status].word}: ${entry.id}` }, badge(entry.status))),
    cell("lmdeploy"), cell("transformers"), h("td", {}, backend ?? "—"),
    h("td", {}, model === undefined ? "—" : modelTitle(model), variantWords(entry) ? h("div", { class: "soft" }, variantWords(entry)) : ""), cell("python"),
    h("td", { class: "why" }, reasonWords(entry), entry.as_expected === false ? h("strong", {}, " not as expected") : "", " ", warnings(entry)),
    h("td", { class: "version" }, time ? seconds(time) : ""));
}
