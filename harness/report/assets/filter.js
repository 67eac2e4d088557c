// Which combinations are shown, and in which order.

let haystacks = null;

function haystackOf(entry) {
  const cause = causeOf(entry);
  const told = cause ? `${cause.title} ${cause.line} ${cause.signature || ""} ${Object.values(cause.captures).join(" ")}` : "";
  const title = entry.axes.model ? modelTitle(entry.axes.model) : "";
  return `${entry.id} ${entry.verdict} ${entry.note} ${title} ${entry.tags.join(" ")} ${told}`.toLowerCase();
}

function prepareSearch() {
  if (haystacks === null) haystacks = data.combinations.map(haystackOf);
}

const VARIANTS = { as_of: "As of", launch: "Started", source: "Records" };
const ORDINARY = { as_of: "today's packages", launch: "library", source: "this machine's" };

/** How a combination differs from the ordinary: the day of its packages, how it was started, whose record it is. */
function variantOf(entry, name) {
  return (name === "source" ? entry.source : entry.axes[name]) || ORDINARY[name];
}

/** Indices of the combinations that the filters let through, in the matrix's own order. */
function matching() {
  const filters = view.filters;
  const words = (filters.q || "").toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length) prepareSearch();
  const axes = ["backend", "model", "python", "lmdeploy", "transformers"].filter((name) => filters[name] && data.axisByName.has(name));
  const variants = Object.keys(VARIANTS).filter((name) => filters[name]);
  const found = [];
  for (let index = 0; index < data.asked; index += 1) {
    const entry = data.combinations[index];
    if (filters.state ? entry.status !== filters.state : entry.status === "skipped" && !filters.cause && !filters.q) continue; // excluded
    if (filters.family && entry.reason !== filters.family) continue;
    if (filters.cause && entry.cause !== filters.cause) continue;
    if (filters.only === "unexpected" && entry.as_expected !== false) continue;
    if (filters.only === "flaky" && !isFlaky(entry)) continue;
    if (filters.lock && lockOf(entry) !== filters.lock) continue;
    if (filters.level && entry.level !== filters.level) continue;
    if (!variants.every((name) => variantOf(entry, name) === filters[name])) continue;
    if (!axes.every((name) => entry.axes[name] === filters[name])) continue;
    if (!words.every((word) => haystacks[index].includes(word))) continue;
    found.push(index);
  }
  return found;
}

/** Name of the lock that a combination ran on; null: it has none. */
function lockOf(entry) {
  return entry.stack === null ? null : table("stacks")[entry.stack].lock;
}

function isFlaky(entry) {
  const told = [entry.verdict, ...entry.earlier.map((attempt) => attempt.verdict)];
  return new Set(told.filter((verdict) => /^(pass|fail)/.test(verdict))).size > 1;
}

function secondsOf(entry) {
  return entry.stages.reduce((sum, stage) => sum + stage.seconds, 0);
}

/** What the list sorts a column by. */
function rankOf(name) {
  if (name === "seconds") return secondsOf;
  if (name === "family") return (entry) => entry.reason || "";
  if (name === "state") return placeIn(Object.keys(data.states), (entry) => entry.status);
  return placeIn(data.axisByName.has(name) ? data.axisByName.get(name).values : [], (entry) => entry.axes[name]);
}

function placeIn(values, of) {
  const places = new Map(values.map((value, place) => [value, place]));
  return (entry) => places.get(of(entry)) ?? -1;
}

/** Every combination in the order of one column, worked out once. */
const orders = new Map();

function orderBy(name) {
  if (!orders.has(name)) {
    const keys = data.combinations.map(rankOf(name));
    orders.set(name, [...keys.keys()].sort((one, two) => (keys[one] < keys[two] ? -1 : keys[one] > keys[two] ? 1 : one - two)));
  }
  return orders.get(name);
}

function sorted(indices) {
  const [, sign, name] = /^(-?)(.*)$/.exec(view.filters.sort || "");
  if (!name) return indices;
  const wanted = new Uint8Array(data.combinations.length);
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
    const entry = data.combinations[index];
    const key = by === "cause" ? entry.cause : entry.axes[by] ?? null;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(index);
  }
  const named = [...groups].map(([key, members]) => {
    if (by !== "cause") return [key === null ? "—" : key, null, members];
    const cause = key === null ? null : data.causeById.get(key);
    return [cause ? cause.title : "Passed", cause ? cause.status : "pass", members];
  });
  return by === "cause" ? named.sort((one, two) => two[2].length - one[2].length) : named;
}
