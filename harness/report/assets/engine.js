// The engine that came up, and what it took of the card.

/** Badges of what makes a verdict say less than it seems to. */
function warnings({ differences, gpu }) {
  const names = Object.keys(differences);
  return [
    names.length ? [notLock(names), " "] : null,
    gpu && gpu.fits === false ? [h("span", { class: "badge s-fail", title: fitsWords(gpu) }, "too large for the target"), " "] : null,
    gpu && gpu.tainted ? [taint(gpu), " "] : null,
  ];
}

function notLock(names) {
  return h("span", { class: "badge s-infra", title: `Ran in another version than the lock's: ${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}` }, "not its lock");
}

function taint(gpu) {
  return h("span", { class: "badge s-infra", title: taintWords(gpu) }, "not clean");
}

function taintWords(gpu) {
  const others = gpu.foreign_processes ? `${gpu.foreign_processes === 1 ? "one process" : `${gpu.foreign_processes} processes`} from outside used the card meanwhile` : "";
  const own = gpu.alone === false ? "other boots of the same run were on the card" : "";
  return `${[others, own].filter(Boolean).join(", and ") || "somebody else used the card meanwhile"}. Measure alone on the card to compare.`;
}

function gib(mib) {
  return `${(mib / 1024).toFixed(mib < 1024 ? 2 : 1)} GiB`;
}

/** Whether it fits the memory of the target, and by how much. */
function fitsWords(gpu) {
  if (gpu.fits === null) return "What it took was not seen.";
  const apart = gib(Math.abs(gpu.budget_mib - gpu.peak_mib));
  return gpu.fits ? `${gib(gpu.peak_mib)} at most: fits ${gib(gpu.budget_mib)}, ${apart} to spare.` : `${gib(gpu.peak_mib)} at most: ${apart} too much for ${gib(gpu.budget_mib)}.`;
}

function engineSection(entry) {
  const { engine, gpu } = entry;
  if (!engine && !gpu) return null;
  const machine = data.machines[entry.machine];
  const changed = engine && engine.requested && engine.actual && engine.requested !== engine.actual;
  const plain = (told) => Object.entries(told).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value));
  const settings = engine ? plain(engine.settings) : [];
  return h("section", { "aria-labelledby": "engine" }, h("h3", { id: "engine" }, "The engine"),
    engine ? h("dl", { class: "facts" },
      engine.requested ? fact("Asked for", engine.requested) : null,
      engine.actual ? fact("Came up", engine.actual, " ", changed ? h("span", { class: "badge s-fail" }, "not what was asked for") : engine.requested ? h("span", { class: "badge s-pass" }, "as asked") : "",
        engine.kind ? [" ", h("code", {}, engine.kind)] : "") : null,
      engine.device ? fact("On", engine.device, machine.driver ? `, driver ${machine.driver}` : "") : null,
      engine.load_seconds === null ? null : fact("Boot took", seconds(engine.load_seconds)),
      settings.length ? fact("Settings", h("code", {}, settings.map(([name, value]) => `${name}=${value}`).join(", "))) : null,
      plain(engine.told).map(([name, value]) => fact(name.replaceAll("_", " "), typeof value === "number" ? number(value) : String(value)))) : null,
    gpu ? [h("h4", {}, "GPU memory ", gpu.fits === null ? "" : badge(gpu.fits ? "pass" : "fail", gpu.fits ? "fits the target" : "does not fit the target"), " ", gpu.tainted ? taint(gpu) : ""),
      h("p", {}, fitsWords(gpu), gpu.card_mib ? h("span", { class: "soft" }, ` The card has ${gib(gpu.card_mib)}; the engine was told to keep to the target's.`) : "", gpu.tainted ? ` ${taintWords(gpu)[0].toUpperCase()}${taintWords(gpu).slice(1)}` : ""),
      heldPlot(gpu)] : null);
}

/** Memory over time, with the target's as a line. */
function heldPlot(gpu) {
  if (gpu.held.length < 2) return null;
  const [width, height, left, bottom] = [460, 120, 52, 18];
  const last = gpu.held.at(-1)[0] || 1;
  const top = Math.max(gpu.budget_mib || 0, gpu.peak_mib || 0) * 1.08 || 1;
  const x = (time) => left + (time / last) * (width - left - 4);
  const y = (mib) => height - bottom - (mib / top) * (height - bottom - 6);
  const points = gpu.held.flatMap(([time, mib], place) => (place ? [[x(time), y(gpu.held[place - 1][1])], [x(time), y(mib)]] : [[x(time), y(mib)]]));
  const line = points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" ");
  const words = `GPU memory over ${seconds(last)}: ${gib(gpu.peak_mib || 0)} at most${gpu.budget_mib ? `, allowed ${gib(gpu.budget_mib)}` : ""}`;
  return h("figure", { class: "held" },
    s("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words },
      s("polygon", { class: "area", points: `${x(0)},${y(0)} ${line} ${x(last)},${y(0)}` }),
      s("polyline", { class: "curve", points: line }),
      s("line", { class: "axis", x1: left, x2: width - 4, y1: y(0), y2: y(0) }),
      gpu.budget_mib ? [s("line", { class: "limit", x1: left, x2: width - 4, y1: y(gpu.budget_mib), y2: y(gpu.budget_mib) }),
        s("text", { x: left - 5, y: y(gpu.budget_mib) + 4, "text-anchor": "end" }, gib(gpu.budget_mib))] : null,
      s("text", { x: left - 5, y: y(0) + 4, "text-anchor": "end" }, "0"),
      s("text", { x: left, y: height - 3 }, "0 s"), s("text", { x: width - 4, y: height - 3, "text-anchor": "end" }, seconds(last))),
    h("figcaption", { class: "soft" }, `${words}. The dashed line is the target's.`),
    h("details", {}, h("summary", { class: "soft" }, `${gpu.held.length} samples, each the most in its share of the time`), h("code", {}, gpu.held.map(([time, mib]) => `${time} s ${number(mib)} MiB`).join(", "))));
}
