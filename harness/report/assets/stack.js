// The exact packages of a combination, and how they differ from another's.

function stackSection(entry) {
  if (entry.stack === null) {
    return h("section", { "aria-labelledby": "stack" }, h("h3", { id: "stack" }, "The exact stack"), h("p", {}, "No stack: it was not resolved."));
  }
  const packages = packagesOf(entry);
  const { lock } = table("stacks")[entry.stack];
  const result = h("div", { "aria-live": "polite" });
  const options = h("datalist", { id: "others" });
  const input = h("input", { id: "against", list: "others", placeholder: "id of another combination", value: view.against || "", autocomplete: "off", spellcheck: "false" });
  const offer = () => options.replaceChildren(...offered(entry, input.value).map((other) => h("option", { value: other.id }, data.states[other.status].word)));
  const compare = () => {
    view.against = data.byId.has(input.value) ? input.value : null;
    history.replaceState(null, "", combinationHash(entry.id, view.against));
    result.replaceChildren(...(view.against ? difference(entry, view.against) : []));
  };
  input.addEventListener("input", () => { offer(); if (data.byId.has(input.value) || !input.value) compare(); });
  offer();
  if (view.against) result.replaceChildren(...difference(entry, view.against));
  const near = nearestPass(entry);
  return h("section", { "aria-labelledby": "stack" }, h("h3", { id: "stack" }, "The exact stack"),
    h("p", { class: "soft" }, `${packages.size} packages`, lock ? [", lock ", h("a", { href: `#lock=${encodeURIComponent(lock)}&at=combinations` }, h("code", {}, lock)), " (all combinations on it)"] : ""),
    h("div", { class: "picker" },
      h("label", {}, "Compare with", input), options,
      near === null ? null : h("button", { type: "button", onclick: () => { input.value = near; compare(); } }, "Nearest that came further"),
      copyButton("Copy requirements.txt", "requirements.txt", () => [...packages].map(([name, version]) => `${name}==${version}\n`).join(""))),
    result,
    unlikeLock(entry, packages),
    h("details", { open: packages.size <= 40 }, h("summary", {}, `All ${packages.size} packages`),
      h("ul", { class: "packages" }, [...packages].map(([name, version]) => h("li", {}, name, " ", h("span", { class: "soft" }, version))))));
}

/** Packages that the machine's own took the place of: a stack is only as proven as what ran. */
function unlikeLock(entry, packages) {
  const moved = Object.entries(entry.differences);
  if (!moved.length) return null;
  return h("div", { class: "unlike" }, h("h4", {}, notLock(Object.keys(entry.differences)), ` ${moved.length === 1 ? "One package" : `${moved.length} packages`} ran in another version than the lock's`),
    h("p", { class: "soft" }, "The machine's own packages took their place. The verdict speaks for what ran, not for the lock."),
    h("div", { class: "scroll", role: "region", "aria-label": "Packages that were not the lock's", tabindex: "0" }, h("table", { class: "diff" },
      h("thead", {}, h("tr", {}, ["Package", "In the lock", "Ran"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, moved.map(([name, version]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, packages.get(name) || "absent"), h("td", {}, version === null ? "absent" : version)))))));
}

function offered(entry, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  for (const other of data.combinations) {
    if (other.stack !== null && other !== entry && words.every((word) => other.id.toLowerCase().includes(word))) found.push(other);
    if (found.length === 30) break;
  }
  return found;
}

function difference(entry, otherId) {
  const other = data.byId.get(otherId);
  const mine = packagesOf(entry); // the locks, whatever ran: differences from a lock have a table of their own
  const theirs = packagesOf(other);
  const names = [...new Set([...mine.keys(), ...theirs.keys()])].sort();
  const moved = names.filter((name) => mine.get(name) !== theirs.get(name));
  if (!moved.length) return [h("p", {}, `Both run on the same ${mine.size} packages.`)];
  return [h("p", {}, `${moved.length} of ${names.length} packages differ from `, h("a", { href: combinationHash(otherId) }, otherId), ` (${data.states[other.status].word}).`),
    h("div", { class: "scroll", role: "region", "aria-label": "Differing packages", tabindex: "0" }, h("table", { class: "diff" },
      h("thead", {}, h("tr", {}, ["Package", "Here", "There"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, moved.map((name) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, mine.get(name) || "absent"), h("td", {}, theirs.get(name) || "absent"))))))];
}

/** Place of the highest stage that passed; a whole pass is above all of them. */
function reachedBy(entry) {
  return entry.status === "pass" ? Infinity : Object.keys(data.stages).indexOf(entry.height);
}

/** Combinations that differ from this one in exactly one axis and came further, the nearest first. */
function neighboursThatHelp(entry) {
  const found = [];
  const reached = reachedBy(entry);
  for (const other of data.combinations) {
    if (!["pass", "blocked"].includes(other.status) || reachedBy(other) <= reached) continue;
    const moved = data.axes.filter(({ name }) => other.axes[name] !== entry.axes[name]);
    if (moved.length === 1) found.push([other, moved[0]]);
  }
  const apart = ([other, { name, values }]) => Math.abs(values.indexOf(other.axes[name]) - values.indexOf(entry.axes[name]));
  return found.sort((one, two) => apart(one) - apart(two));
}

function nearestPass(entry) {
  const near = neighboursThatHelp(entry).find(([other]) => other.stack !== null);
  return near ? near[0].id : null;
}
