// What the address says: filters, order, grouping, and the combination that is open. All of it is in the hash.

const FILTERS = ["q", "state", "family", "cause", "backend", "model", "python", "lmdeploy", "transformers", "as_of", "launch", "source", "level", "lock", "only"];
const KEPT = [...FILTERS, "sort", "group"];

const view = { filters: {}, open: null, against: null };

/** Reads the hash; returns the id of the place to scroll to, if it names one. */
function readHash() {
  const text = location.hash.slice(1);
  if (!text.includes("=")) {
    view.open = null;
    return text || null;
  }
  const asked = new URLSearchParams(text);
  const told = [...asked.keys()].filter((name) => KEPT.includes(name));
  view.open = asked.get("c");
  view.against = asked.get("vs");
  // A link to a combination alone leaves the filters as they are, so that the way back leads to the same list.
  if (view.open === null || told.length) {
    view.filters = {};
    for (const name of told) view.filters[name] = asked.get(name);
  }
  return asked.get("at");
}

function hashOf(changes) {
  const wanted = { ...view.filters, ...changes };
  const text = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value)).toString().replaceAll("+", "%20");
  return text ? `#${text}` : "#matrix";
}

function combinationHash(id, against) {
  return `#c=${encodeURIComponent(id)}${against ? `&vs=${encodeURIComponent(against)}` : ""}`;
}

/** Changes filters without a new entry in the history: typing is not travelling. */
function setFilter(name, value) {
  if (value) view.filters[name] = value;
  else delete view.filters[name];
  history.replaceState(null, "", hashOf({}));
}
