// One combination: everything that is known of it, drawn when it is opened.

function openCombination(id) {
  const place = byId("combination");
  const entry = data.byId.get(id);
  if (entry === undefined) {
    place.replaceChildren(h("p", {}, "This report has no combination ", h("code", {}, id), "."), h("p", {}, h("a", { href: "#matrix" }, "To the matrix")));
    return;
  }
  const check = decisiveOf(entry);
  place.replaceChildren(...[
    steps(entry), header(entry), stagesSection(entry), diagnosisSection(entry, check), logSection(check), tracebackSection(check),
    engineSection(entry), passesSection(entry), measuresSection(entry), stackSection(entry), reproduceSection(entry),
  ].filter(Boolean));
}

function steps(entry) {
  const order = sorted(matching());
  const place = order.indexOf(entry.index);
  const step = (by, words) => (order[place + by] === undefined || place < 0 ? null
    : h("a", { href: combinationHash(data.combinations[order[place + by]].id) }, words));
  return h("nav", { class: "steps", "aria-label": "Combinations" }, h("a", { href: hashOf({}) }, "Back to the matrix"),
    h("span", { class: "push soft" }, place < 0 ? "" : `${number(place + 1)} of ${number(order.length)}`), step(-1, "Previous"), step(1, "Next"));
}

function header(entry) {
  const expected = entry.as_expected === null ? null : entry.as_expected ? `As expected: the matrix says ${entry.expected}.` : `Not as expected: the matrix says ${entry.expected}.`;
  return h("header", {},
    h("h2", {}, titleOf(entry)),
    h("p", { class: "id" }, h("span", {}, entry.id), copyButton("Copy link", "link to this combination", () => location.href)),
    h("p", { class: "verdict-line" }, badge(entry.status), " ", ...warnings(entry), verdictWords(entry), " ", entry.reason ? data.families[entry.reason] : ""),
    h("dl", { class: "facts" },
      fact("Verdict", h("code", {}, entry.verdict)),
      entry.level ? fact("Evidence", `${levelWords(entry)}: what any machine has shown of this stack for this model`) : null,
      entry.source ? fact("Records", `of another machine: ${entry.source}`) : null,
      entry.index >= data.asked && !entry.source ? fact("Part of", "no matrix: run as evidence for an incident or a remedy") : null,
      expected && fact("Expectation", expected), entry.note && fact("Matrix says", entry.note),
      fact("What to do", data.states[entry.status].act),
      fact("Tested", `${entry.finished.slice(0, 16).replace("T", " ")} UTC, attempt ${entry.attempt}`),
      entry.earlier.length ? fact("Earlier attempts", entry.earlier.map((one) => [h("code", {}, one.verdict), ` (${one.finished.slice(0, 16).replace("T", " ")} UTC) `])) : null,
      fact("Machine", machineWords(data.machines[entry.machine])),
      modelWords(entry.axes.model),
      entry.tags.length ? fact("Tags", entry.tags.join(", ")) : null));
}

function fact(name, ...value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

function machineWords(machine) {
  const gpus = machine.gpus.length ? machine.gpus.map((gpu, place) => `${gpu}, ${number(machine.gpu_memory_mib[place] ?? 0)} MiB`).join("; ") : "no GPU";
  return `${machine.os}, kernel ${machine.kernel}${machine.wsl ? ", WSL2" : ""}; ${machine.cpu}, ${machine.cores} cores, ${number(machine.memory_mib)} MiB; ${gpus}${machine.driver ? `, driver ${machine.driver}` : ""}`;
}

function modelWords(name) {
  const model = data.models[name];
  if (!model) return null;
  const parts = [model.hub_id, model.architecture, model.quantisation && (model.quantisation === "none" ? "not quantised" : model.quantisation), model.licence && `licence ${model.licence}`,
    model.trust_remote_code === true ? "runs code of its own from the checkpoint" : model.trust_remote_code === false ? "no code of its own is run" : null].filter(Boolean);
  return parts.length ? fact("Model", parts.join("; ")) : null;
}

function stagesSection(entry) {
  const reached = new Map(entry.stages.map((stage) => [stage.stage, stage]));
  const most = Math.max(1, ...entry.stages.map((stage) => stage.seconds));
  const names = Object.keys(data.stages);
  const last = Math.max(-1, ...entry.stages.map((stage) => names.indexOf(stage.stage)));
  const items = [];
  let absent = [];
  const flush = () => {
    if (absent.length) items.push(unreachedStages(absent, "Not part of this combination's run."));
    absent = [];
  };
  for (const name of names.slice(0, last + 1)) {
    if (reached.has(name)) {
      flush();
      items.push(reachedStage(reached.get(name), most));
    } else absent.push(name);
  }
  const above = names.slice(last + 1);
  if (above.length) items.push(unreachedStages(above, `Not reached, so nothing is known of ${above.join(", ")}.`));
  return h("section", { "aria-labelledby": "stages" }, h("h3", { id: "stages" }, "The stages ", h("span", { class: "soft" }, `${seconds(secondsOf(entry))} in all`)),
    h("ol", { class: "stages" }, items));
}

function reachedStage(stage, most) {
  const { status } = stage;
  const { symbol, word } = data.states[status];
  const checks = stage.checks.map(checkOf);
  const unjudged = status === "pass" && checks.some((check) => check.passes.some((pass) => pass.stage === stage.stage && !pass.judged));
  return h("li", {},
    h("span", { class: `symbol s-${status}`, role: "img", "aria-label": word }, symbol),
    h("span", { class: "stage" }, stage.stage, stage.stage === "emulate" ? [" ", h("span", { class: "badge s-partial" }, "emulated")] : ""),
    h("div", { class: "question" }, unjudged ? "It answered, the same each time; whether it is right was not judged." : data.stages[stage.stage], status === "pass" ? null : h("div", {}, h("code", {}, stage.verdict)),
      checks.length ? h("details", {}, h("summary", {}, checks.length === 1 ? "1 check" : `${checks.length} checks`), checksTable(stage, checks)) : null),
    h("span", { class: "time" },
      h("span", { class: "bar" }, s("svg", { viewBox: "0 0 100 5", preserveAspectRatio: "none", "aria-hidden": "true" },
        s("rect", { class: "fill", width: Math.max(0.5, (stage.seconds / most) * 100), height: 5, fill: "currentColor" }))),
      seconds(stage.seconds)));
}

function checksTable(stage, checks) {
  return h("table", { class: "checks" },
    h("thead", {}, h("tr", {}, ["Check", "Outcome", "Time", "Memory", "Facts"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, checks.map((check, place) => h("tr", {},
      h("th", { scope: "row" }, h("code", {}, check.name)), h("td", {}, check.outcome),
      h("td", {}, seconds(check.seconds), stage.reused.includes(stage.checks[place]) ? h("span", { class: "soft", title: "The answer came from an earlier, identical question." }, " reused") : ""),
      h("td", {}, check.peak_memory_mib === null ? "" : `${number(Math.round(check.peak_memory_mib))} MiB`),
      h("td", {}, Object.keys(check.facts).length ? h("details", {}, h("summary", {}, `${Object.keys(check.facts).length} facts`), h("pre", {}, JSON.stringify(check.facts, null, 1))) : "")))));
}

function unreachedStages(names, words) {
  return h("li", { class: "unreached" },
    h("span", { class: "symbol s-none", "aria-hidden": "true" }, "·"),
    h("span", { class: "stage" }, names.length > 1 ? `${names[0]} to ${names.at(-1)}` : names[0]),
    h("div", { class: "question" }, words), h("span", { class: "time" }));
}

function diagnosisSection(entry, check) {
  if (entry.status === "pass") return null;
  const found = check && check.diagnosis;
  const helps = ["fail", "infra"].includes(entry.status) ? neighboursThatHelp(entry) : [];
  const cause = causeOf(entry);
  const tried = cause ? cause.remedies.filter((remedy) => remedy.combination === entry.id) : [];
  return h("section", { "aria-labelledby": "diagnosis" }, h("h3", { id: "diagnosis" }, "Diagnosis"),
    found ? h("p", { class: "verdict-line" }, found.title || data.families[found.family]) : h("p", {}, "No known failure pattern matched; the verdict's family is all that is known."),
    found && found.line ? h("pre", { class: "deciding", tabindex: "0" }, h("code", {}, found.line)) : null,
    h("dl", { class: "facts" },
      entry.reason ? fact("Family", entry.reason, " ", h("span", { class: "soft" }, data.families[entry.reason])) : null,
      found && found.cause ? fact("Cause", found.cause) : null,
      found && found.remedy ? fact(entry.status === "fail" ? "Remedy" : "What to do", found.remedy, entry.status === "fail" && !tried.length ? h("span", { class: "soft" }, " Not verified by a run.") : "") : null,
      tried.map((remedy) => fact({ verified: "Verified", "did-not-help": "Did not help", "not-run": "Not run" }[remedy.outcome], remedy.change, remedy.by ? [" ", h("a", { href: combinationHash(remedy.by) }, "evidence")] : "", remedy.note ? ` ${remedy.note}` : "")),
      found && found.source ? fact("Source", sourced(found.source)) : null,
      found ? fact("Signature", found.signature ? h("code", {}, found.signature) : "none matched", ` (confidence ${Math.round(found.confidence * 100)} %)`) : null,
      found ? Object.entries(found.captures).map(([name, value]) => fact(name, h("code", {}, value))) : null),
    helps.length ? [h("h4", {}, "One change that came further in this run"), h("ul", { class: "neighbours" }, helps.slice(0, 6).map(([other, axis]) =>
      h("li", {}, badge(other.status), ` ${axis.label} ${entry.axes[axis.name] ?? "—"} → ${other.axes[axis.name] ?? "—"} `, h("a", { href: combinationHash(other.id) }, "evidence"))))] : null,
    cause && cause.status === entry.status ? h("p", {}, h("a", { href: `#cause=${encodeURIComponent(cause.id)}&at=combinations` }, "Every combination with this cause")) : null);
}

function measuresSection(entry) {
  const seen = new Set();
  const checks = entry.stages.flatMap((stage) => stage.checks.filter((check) => !seen.has(check) && seen.add(check)).map((check) => {
    const told = checkOf(check);
    return [`${stage.stage}: ${told.name}`, told];
  }));
  const plot = memoryPlot(checks);
  return plot && h("section", { "aria-labelledby": "memory" }, h("h3", { id: "memory" }, "Peak memory"), h("p", { class: "soft" }, "Resident memory of each check's process tree."), plot);
}

function reproduceSection(entry) {
  return h("section", { "aria-labelledby": "reproduce" }, h("h3", { id: "reproduce" }, "Reproduce it alone"),
    command("Run this combination", entry.command),
    ["fail", "infra"].includes(entry.status) ? h("p", {}, copyButton("Copy bug report", "bug report", () => bugReport(entry)), " ", h("span", { class: "soft" }, "In the shape of LMDeploy's issue form: environment, reproduction, traceback.")) : null);
}
