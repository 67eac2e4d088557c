// Which combinations are shown, and in which order.

let haystacks = null;

function haystackOf(row) {
  const cause = row[ROW.cause] === null ? null : data.causeById.get(row[ROW.cause]);
  const told = cause ? `${cause.title} ${cause.line} ${cause.signature || ""} ${Object.values(cause.captures).join(" ")}` : "";
  const model = axisOf(row, "model");
  const title = model !== null && model in data.models ? data.models[model].title : "";
  return `${row[ROW.id]} ${data.texts[row[ROW.verdict]]} ${data.texts[row[ROW.note]]} ${title} ${row[ROW.tags].join(" ")} ${told}`.toLowerCase();
}

function prepareSearch() {
  if (haystacks === null) haystacks = data.rows.map(haystackOf);
}

/** Indices of the combinations that the filters let through, in the matrix's own order. */
function matching() {
  const filters = view.filters;
  const words = (filters.q || "").toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length) prepareSearch();
  const state = filters.state ? data.stateNames.indexOf(filters.state) : null;
  const axes = [];
  for (const name of ["backend", "model", "python", "lmdeploy", "transformers"]) {
    if (!filters[name] || !data.axisAt.has(name)) continue;
    const place = data.axisAt.get(name);
    axes.push([place, data.axes[place].values.indexOf(filters[name])]);
  }
  const found = [];
  for (let index = 0; index < data.asked; index += 1) {
    const row = data.rows[index];
    if (state !== null && row[ROW.state] !== state) continue;
    if (filters.family && row[ROW.reason] !== filters.family) continue;
    if (filters.cause && row[ROW.cause] !== filters.cause) continue;
    if (filters.only === "unexpected" && row[ROW.asExpected] !== false) continue;
    if (filters.only === "flaky" && !isFlaky(row)) continue;
    if (!axes.every(([place, value]) => row[ROW.axes][place] === value)) continue;
    if (!words.every((word) => haystacks[index].includes(word))) continue;
    found.push(index);
  }
  return found;
}

function isFlaky(row) {
  const told = [data.texts[row[ROW.verdict]], ...row[ROW.earlier].map((attempt) => attempt.verdict)];
  return new Set(told.filter((verdict) => /^(pass|fail)/.test(verdict))).size > 1;
}

const RANKS = {
  state: (row) => row[ROW.state],
  family: (row) => row[ROW.reason] || "",
  seconds: (row) => row[ROW.stages].reduce((sum, stage) => sum + stage[2], 0),
};

/** Every combination in the order of one column, worked out once. */
const orders = new Map();

function orderBy(name) {
  if (!orders.has(name)) {
    const place = data.axisAt.get(name);
    const rank = RANKS[name] || (place === undefined ? () => 0 : (row) => row[ROW.axes][place]);
    const keys = data.rows.map(rank);
    orders.set(name, [...keys.keys()].sort((one, two) => (keys[one] < keys[two] ? -1 : keys[one] > keys[two] ? 1 : one - two)));
  }
  return orders.get(name);
}

function sorted(indices) {
  const [, sign, name] = /^(-?)(.*)$/.exec(view.filters.sort || "");
  if (!name) return indices;
  const wanted = new Uint8Array(data.rows.length);
  for (const index of indices) wanted[index] = 1;
  const found = orderBy(name).filter((index) => wanted[index]);
  return sign ? found.reverse() : found;
}

/** Groups of combinations: [title, state or null, indices], in the order of their first member or by size. */
function grouped(indices) {
  const by = view.filters.group;
  if (!by) return [["", null, indices]];
  const groups = new Map();
  for (const index of indices) {
    const row = data.rows[index];
    const key = by === "cause" ? row[ROW.cause] : axisOf(row, by);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(index);
  }
  const named = [...groups].map(([key, members]) => {
    if (by !== "cause") return [key === null ? "—" : key, null, members];
    const cause = key === null ? null : data.causeById.get(key);
    return [cause ? cause.title : "Passed", cause ? cause.state : "pass", members];
  });
  return by === "cause" ? named.sort((one, two) => two[2].length - one[2].length) : named;
}
