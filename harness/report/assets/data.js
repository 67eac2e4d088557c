// The page's data: the tables of report.json, under the same names.

let data = null;

async function loadData() {
  const holder = byId("data");
  let text = holder.textContent;
  if (holder.dataset.encoding === "deflate-raw") {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    text = await new Response(stream).text();
  }
  data = JSON.parse(text);
  data.combinations = decoded(data.combinations);
  data.byId = new Map(data.combinations.map((entry, index) => [entry.id, Object.assign(entry, { index })]));
  data.excluded = data.combinations.slice(0, data.asked).filter((entry) => entry.status === "skipped").length;
  data.causeById = new Map(data.causes.map((cause) => [cause.id, cause]));
  data.axisByName = new Map(data.axes.map((axis) => [axis.name, axis]));
}

/** The values of a column: harness/report/columns.py says what it looks like. */
function decoded(column) {
  if (Array.isArray(column)) return column;
  if (column.at) {
    const values = decoded(column.values);
    return column.at.map((place) => (place === null ? null : values[place]));
  }
  if (column.lengths) {
    const items = decoded(column.items);
    let end = 0;
    return column.lengths.map((length) => items.slice(end, end += length));
  }
  if (column.names) {
    const members = decoded(column.members);
    return decoded(column.names).map((names, place) => Object.fromEntries(names.map((name, which) => [name, members[place][which]])));
  }
  const members = Object.entries(column.fields).map(([name, field]) => [name, decoded(field)]);
  return members[0][1].map((_, place) => {
    const entry = {};
    for (const [name, values] of members) entry[name] = values[place];
    return entry;
  });
}

/** The values of a column that is read when somebody first asks for it. */
function table(name) {
  if (!Array.isArray(data[name])) data[name] = decoded(data[name]);
  return data[name];
}

function checkOf(index) {
  return table("checks")[index];
}

/** The check that decided a verdict, if one did. */
function decisiveOf(entry) {
  return entry.decisive === null ? null : checkOf(entry.decisive);
}

function causeOf(entry) {
  return entry.cause === null ? null : data.causeById.get(entry.cause);
}

function packagesOf(entry) {
  return new Map(entry.stack === null ? [] : Object.entries(table("stacks")[entry.stack].packages));
}

function modelTitle(name) {
  return name in data.models ? data.models[name].title : name;
}

/** A stage's name where it stands as a result: never an emulated one without saying so. */
function stageWord(name) {
  return name === "emulate" ? "emulated" : name;
}

/** What a verdict says, in a sentence. */
function verdictWords(entry) {
  if (entry.status === "pass") return "Every stage passed.";
  if (entry.status === "fail") return `Fails at ${entry.stage}${entry.stage === "emulate" ? " (emulated on the CPU)" : ""}.`;
  if (entry.status === "infra") return `Disturbed from outside at ${entry.stage}; this says nothing about the versions.`;
  if (entry.status === "skipped") return "Excluded in the matrix.";
  const passed = entry.height === null ? "" : `Passed up to ${entry.height}${entry.height === "emulate" ? " (emulated on the CPU)" : ""}; `;
  return `${passed}${entry.stage} could not be run here.`;
}

/** What tells a combination from its neighbours beyond versions, backend, model and Python; its level first. */
function variantWords(entry) {
  return [entry.level && `level ${data.levels[entry.level][0]}`, entry.axes.as_of && `as of ${entry.axes.as_of}`, entry.axes.launch, entry.axes.engine, entry.source && `from ${entry.source}`].filter(Boolean).join(", ");
}

/** The level of evidence of its stack, in words; empty where nothing is known of it. */
function levelWords(entry) {
  return entry.level ? `level ${data.levels[entry.level][0]}, ${data.levels[entry.level][1]}` : "";
}

function titleOf(entry) {
  const model = entry.axes.model;
  const parts = [];
  if (entry.axes.lmdeploy) parts.push(`LMDeploy ${entry.axes.lmdeploy}`);
  if (entry.axes.transformers) parts.push(`transformers ${entry.axes.transformers}`);
  const rest = [entry.axes.backend && `${entry.axes.backend} backend`, model && modelTitle(model), entry.axes.python && `Python ${entry.axes.python}`];
  for (const axis of data.axes) {
    if (!["lmdeploy", "transformers", "backend", "model", "python"].includes(axis.name) && entry.axes[axis.name]) {
      rest.push(`${axis.label.toLowerCase()} ${entry.axes[axis.name]}`);
    }
  }
  return [parts.join(" × "), ...rest].filter(Boolean).join(", ");
}
