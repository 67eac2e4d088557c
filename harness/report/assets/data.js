// The page's data and the combinations read from it.

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
  data.stateNames = Object.keys(data.states);
  data.stageNames = Object.keys(data.stages);
  data.byId = new Map(data.rows.map((row, index) => [row[0], index]));
  data.causeById = new Map(data.causes.map((cause) => [cause.id, cause]));
  data.axisAt = new Map(data.axes.map((axis, place) => [axis.name, place]));
}

/** Column of each field in a row of the data. */
const ROW = {
  id: 0, axes: 1, state: 2, verdict: 3, stage: 4, reason: 5, detail: 6, height: 7, expected: 8, asExpected: 9, note: 10,
  stages: 11, decisive: 12, cause: 13, stack: 14, machine: 15, command: 16, started: 17, finished: 18, attempt: 19,
  earlier: 20, tags: 21, differences: 22, engine: 23, gpu: 24,
};

function axisOf(row, name) {
  const place = data.axisAt.get(name);
  const value = place === undefined ? -1 : row[ROW.axes][place];
  return value < 0 ? null : data.axes[place].values[value];
}

function stateOf(row) {
  return data.stateNames[row[ROW.state]];
}

function stageOf(row) {
  return row[ROW.stage] === null ? null : data.stageNames[row[ROW.stage]];
}

function combinationOf(index) {
  const row = data.rows[index];
  const entry = { index };
  for (const [name, column] of Object.entries(ROW)) entry[name] = row[column];
  for (const name of ["verdict", "detail", "expected", "note"]) entry[name] = data.texts[entry[name]];
  for (const name of ["differences", "engine", "gpu"]) entry[name] = entry[name] === null ? null : data.values[entry[name]];
  entry.axes = {};
  for (const axis of data.axes) {
    const value = axisOf(row, axis.name);
    if (value !== null) entry.axes[axis.name] = value;
  }
  entry.state = stateOf(row);
  entry.stage = stageOf(row);
  entry.height = entry.height === null ? null : data.stageNames[entry.height];
  entry.stages = entry.stages.map(([rung, verdict, time, checks, reused]) => ({
    stage: data.stageNames[rung], verdict: data.texts[verdict], seconds: time, checks, reused,
  }));
  entry.machine = data.machines[entry.machine];
  entry.cause = entry.cause === null ? null : data.causeById.get(entry.cause);
  return entry;
}

function checkOf(index) {
  const [name, outcome, key, time, memory, facts, passes, exceptions, diagnosis, log] = data.checks[index];
  return {
    name, key, memory, passes, seconds: time, outcome: data.statuses[outcome],
    facts: facts === null ? {} : data.values[facts],
    exceptions: exceptions === null ? [] : data.values[exceptions],
    diagnosis: diagnosis === null ? null : data.values[diagnosis],
    log: log === null ? null : { lines: log[0].map((line) => data.lines[line]), deciding: log[1], omitted: log[2] },
  };
}

function packagesOf(stack) {
  if (stack === null) return new Map();
  return new Map(data.stacks[stack][1].map((place) => {
    const text = data.packages[place];
    const cut = text.indexOf("==");
    return [text.slice(0, cut), text.slice(cut + 2)];
  }));
}

/** A stage's name where it stands as a result: never an emulated one without saying so. */
function stageWord(name) {
  return name === "emulate" ? "emulated" : name;
}

/** What a verdict says, in a sentence. */
function verdictWords(entry) {
  if (entry.state === "pass") return "Every stage passed.";
  if (entry.state === "partial") return `Passed up to ${entry.height}${entry.height === "emulate" ? " (emulated on the CPU)" : ""}; ${entry.stage} could not be run here.`;
  if (entry.state === "fail") return `Fails at ${entry.stage}${entry.stage === "emulate" ? " (emulated on the CPU)" : ""}.`;
  if (entry.state === "infra") return `Disturbed from outside at ${entry.stage}; this says nothing about the versions.`;
  return entry.state === "skipped" ? "Excluded in the matrix." : `${entry.stage} could not be run here.`;
}

function titleOf(entry) {
  const model = entry.axes.model;
  const parts = [];
  if (entry.axes.lmdeploy) parts.push(`LMDeploy ${entry.axes.lmdeploy}`);
  if (entry.axes.transformers) parts.push(`transformers ${entry.axes.transformers}`);
  const rest = [entry.axes.backend && `${entry.axes.backend} backend`, model in data.models ? data.models[model].title : model, entry.axes.python && `Python ${entry.axes.python}`];
  for (const axis of data.axes) {
    if (!["lmdeploy", "transformers", "backend", "model", "python"].includes(axis.name) && entry.axes[axis.name]) {
      rest.push(`${axis.label.toLowerCase()} ${entry.axes[axis.name]}`);
    }
  }
  return [parts.join(" × "), ...rest].filter(Boolean).join(", ");
}
