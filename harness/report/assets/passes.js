// The two passes of the smoke test: what was shown, asked, answered and expected, and how long it took.

const PALETTE = {
  red: "#ff0000", green: "#00ff00", blue: "#0000ff", yellow: "#ffff00",
  cyan: "#00ffff", magenta: "#ff00ff", black: "#000000", white: "#ffffff",
};

function passesSection(entry) {
  const passes = entry.stages.flatMap((stage) => stage.checks).filter((check, place, all) => all.indexOf(check) === place)
    .flatMap((check) => checkOf(check).passes);
  const distinct = passes.filter((one, place) => passes.findIndex((two) => two.stage === one.stage) === place);
  if (!distinct.length) return null;
  return h("section", { "aria-labelledby": "passes" }, h("h3", { id: "passes" }, "The two passes"),
    entry.gpu && entry.gpu.tainted ? h("p", {}, taint(entry.gpu), " The times below are not clean: ", taintWords(entry.gpu)) : null,
    h("div", { class: "passes" }, distinct.map((pass) => passArticle(pass, entry))));
}

/** The verdict of the pass's stage; null where the answer was not judged. */
function isRight(pass, entry) {
  const stage = entry.stages.find((one) => one.stage === pass.stage);
  if (!stage || !pass.judged) return null;
  return stage.verdict.startsWith("pass") ? true : stage.verdict.includes("/wrong-answer") ? false : null;
}

function passArticle(pass, entry) {
  const first = pass.stage === "see";
  const right = isRight(pass, entry);
  return h("article", {},
    h("h4", {}, first ? "Pass 1: image to text" : "Pass 2: text to JSON", right === null ? (!pass.judged ? h("span", { class: "soft" }, " (not judged: these weights have no right answer)") : "") : [" ", badge(right ? "pass" : "fail", right ? "right" : "wrong")]),
    h("div", { class: "asked" },
      pass.colours.length === 4 ? picture(pass.colours) : null,
      h("div", {}, pass.prompt === null ? null : [h("h5", {}, "Asked"), h("p", {}, pass.prompt)])),
    pass.answer === null ? null : [h("h5", {}, "Answered"), h("pre", { class: "said" }, pass.answer)],
    pass.again === null ? null : [h("h5", {}, "Answered the second time: not the same"), h("pre", { class: "said" }, pass.again)],
    pass.expected === null ? null : [h("h5", {}, pass.judge ? `Expected (${pass.judge})` : "Expected"),
      h("pre", { class: "said" }, typeof pass.expected === "string" ? pass.expected : JSON.stringify(pass.expected, null, 1))],
    pass.sent !== null && pass.sent !== pass.prompt ? h("details", {}, h("summary", {}, "As sent, with the chat template"), h("pre", { class: "said" }, pass.sent)) : null,
    pass.prompt_tokens === null && pass.new_tokens === null ? null : h("p", { class: "soft" }, [pass.prompt_tokens !== null && `${pass.prompt_tokens} tokens in`, pass.new_tokens !== null && `${pass.new_tokens} tokens out`].filter(Boolean).join(", ")),
    pass.latencies.length ? samplesPlot(pass.latencies, "Time per request") : null,
    pass.first_token.length ? samplesPlot(pass.first_token, "Time to the first token") : null);
}

function picture(colours) {
  const words = ["top left", "top right", "bottom left", "bottom right"].map((place, index) => `${place} ${colours[index]}`);
  return s("svg", { class: "picture", viewBox: "0 0 2 2", role: "img", "aria-label": `The image shown: ${words.join(", ")}` },
    colours.map((colour, index) => (colour in PALETTE
      ? s("rect", { x: index % 2, y: index >> 1, width: 1, height: 1, fill: PALETTE[colour] }) : null)));
}
