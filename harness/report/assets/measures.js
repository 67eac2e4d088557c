// Small plots of samples, drawn as SVG with the numbers beside them.

function median(values) {
  const order = [...values].sort((one, two) => one - two);
  const middle = order.length >> 1;
  return order.length % 2 ? order[middle] : (order[middle - 1] + order[middle]) / 2;
}

/** Samples as dots on a line from zero. The scale is that of the warm ones; a first one beyond it stands at the edge. */
function samplesPlot(samples, label) {
  const width = 460;
  const [cold, ...warm] = samples;
  const most = Math.max(...(warm.length ? warm : samples)) * 1.15 || 1;
  const beyond = cold > most;
  const at = (value) => 6 + (Math.min(value, most) / most) * (width - (beyond ? 110 : 12));
  const spread = warm.length > 1 ? `, then ${seconds(median(warm))} (median of ${warm.length}, ${seconds(Math.min(...warm))} to ${seconds(Math.max(...warm))})`
    : warm.length ? `, then ${seconds(warm[0])}` : "";
  const words = `${label}: first ${seconds(cold)}${spread}`;
  const end = at(most);
  return h("figure", {},
    h("figcaption", {}, words),
    s("svg", { class: "plot", viewBox: `0 0 ${width} 38`, role: "img", "aria-label": words },
      s("line", { class: "axis", x1: 6, x2: end, y1: 16, y2: 16 }),
      beyond ? s("line", { class: "axis", x1: end + 6, x2: width - 12, y1: 16, y2: 16, "stroke-dasharray": "2 3" }) : null,
      warm.map((value) => s("circle", { class: "warm", cx: at(value), cy: 16, r: 3.5, "fill-opacity": 0.6 })),
      warm.length > 1 ? s("line", { class: "median", x1: at(median(warm)), x2: at(median(warm)), y1: 7, y2: 25 }) : null,
      s("circle", { class: "cold", cx: beyond ? width - 6 : at(cold), cy: 16, r: 4 }),
      s("text", { x: 6, y: 36 }, "0"),
      s("text", { x: end, y: 36, "text-anchor": "end" }, seconds(most)),
      beyond ? s("text", { x: width, y: 36, "text-anchor": "end" }, `first ${seconds(cold)}`) : null),
    h("details", {}, h("summary", { class: "soft" }, "Samples"), h("code", {}, samples.map((value) => value.toFixed(3)).join(", "), " s")));
}

/** Peak memory of the checks, one bar each; `checks` holds pairs of a name and a check. */
function memoryPlot(checks) {
  const told = checks.filter(([, check]) => check.peak_memory_mib !== null);
  if (!told.length) return null;
  const most = Math.max(...told.map(([, check]) => check.peak_memory_mib));
  const words = told.map(([name, check]) => `${name} ${Math.round(check.peak_memory_mib)} MiB`).join(", ");
  return s("svg", { class: "plot", viewBox: `0 0 460 ${17 * told.length}`, role: "img", "aria-label": `Peak memory: ${words}` },
    told.map(([name, check], place) => [
      s("text", { x: 0, y: 17 * place + 12 }, name),
      s("rect", { class: "fill", x: 190, y: 17 * place + 5, width: Math.max(1, (check.peak_memory_mib / most) * 190), height: 7 }),
      s("text", { x: 460, y: 17 * place + 12, "text-anchor": "end" }, `${number(Math.round(check.peak_memory_mib))} MiB`),
    ]));
}
