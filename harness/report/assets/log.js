// What a check printed: the deciding line in its surroundings, and the whole tail folded away.

const BEFORE = 6;
const AFTER = 3;

function logLines(log, from, to, label) {
  return h("pre", { class: "log", tabindex: "0", role: "region", "aria-label": label }, log.lines.slice(from, to).map((line, place) =>
    h("span", { class: from + place === log.deciding ? "decided" : null }, line || "\u00a0")));
}

function logSection(check) {
  if (!check) return null;
  if (!check.log) {
    return h("section", { "aria-labelledby": "log" }, h("h3", { id: "log" }, "Log of ", h("code", {}, check.name)),
      h("p", { class: "soft" }, check.exceptions.length ? "It printed nothing; the traceback is all there is." : "It printed nothing."));
  }
  const { lines, deciding, omitted } = check.log;
  const centre = deciding === null ? lines.length - 1 : deciding;
  const from = Math.max(0, centre - BEFORE);
  const to = deciding === null ? lines.length : Math.min(lines.length, centre + AFTER + 1);
  return h("section", { "aria-labelledby": "log" }, h("h3", { id: "log" }, "Log of ", h("code", {}, check.name)),
    deciding === null ? h("p", { class: "soft" }, "The end of the log; no single line of it decided.") : h("p", { class: "soft" }, "The line that decided is marked."),
    logLines(check.log, from, to, "Log, the deciding part"),
    lines.length > to - from || omitted ? h("details", {}, h("summary", {}, `All ${number(lines.length)} lines kept here${omitted ? `; ${number(omitted)} earlier ones are only in the run's results` : ""}`), logLines(check.log, 0, lines.length, "Log, whole")) : null);
}

function tracebackText(exceptions) {
  return [...exceptions].reverse().map((one) => [
    "Traceback (most recent call last):",
    ...(one.frames_omitted ? [`  [${one.frames_omitted} outer frames left out]`] : []),
    ...one.frames.flatMap((frame) => [`  File "${frame.file}", line ${frame.line}, in ${frame.function}`, ...(frame.text ? [`    ${frame.text}`] : [])]),
    `${one.type}: ${one.message}`,
  ].join("\n")).join("\n\nThe above exception led to the following one:\n\n");
}

function tracebackSection(check) {
  if (!check || !check.exceptions.length) return null;
  const text = tracebackText(check.exceptions);
  return h("section", { "aria-labelledby": "traceback" }, h("h3", { id: "traceback" }, "Traceback"),
    h("details", { open: text.split("\n").length <= 16 }, h("summary", {}, `${check.exceptions.at(-1).type}, ${check.exceptions.length > 1 ? `${check.exceptions.length} exceptions, root cause first` : "one exception"}`),
      h("pre", { class: "log", tabindex: "0" }, text.split("\n").map((line) => h("span", {}, line || "\u00a0")))));
}
