// The exact packages of a combination, and how they differ from another's.

function stackSection(entry) {
  if (entry.stack === null) {
    return h("section", { "aria-labelledby": "stack" }, h("h3", { id: "stack" }, "The exact stack"), h("p", {}, "No stack: it was not resolved."));
  }
  const packages = packagesOf(entry.stack);
  const lock = data.stacks[entry.stack][0];
  const result = h("div", { "aria-live": "polite" });
  const options = h("datalist", { id: "others" });
  const input = h("input", { id: "against", list: "others", placeholder: "id of another combination", value: view.against || "", autocomplete: "off", spellcheck: "false" });
  const offer = () => options.replaceChildren(...offered(entry, input.value).map((row) => h("option", { value: row[ROW.id] }, data.states[stateOf(row)][1])));
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
    h("p", { class: "soft" }, `${packages.size} packages`, lock ? [", lock ", h("code", {}, lock)] : ""),
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
  if (!entry.differences) return null;
  const moved = Object.entries(entry.differences);
  return h("div", { class: "unlike" }, h("h4", {}, notLock(entry), ` ${moved.length === 1 ? "One package" : `${moved.length} packages`} ran in another version than the lock's`),
    h("p", { class: "soft" }, "The machine's own packages took their place. The verdict speaks for what ran, not for the lock."),
    h("div", { class: "scroll", role: "region", "aria-label": "Packages that were not the lock's", tabindex: "0" }, h("table", { class: "diff" },
      h("thead", {}, h("tr", {}, ["Package", "In the lock", "Ran"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, moved.map(([name, version]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, packages.get(name) || "absent"), h("td", {}, version === null ? "absent" : version)))))));
}

function offered(entry, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  for (const row of data.rows) {
    if (row[ROW.stack] !== null && row[ROW.id] !== entry.id && words.every((word) => row[ROW.id].toLowerCase().includes(word))) found.push(row);
    if (found.length === 30) break;
  }
  return found;
}

function difference(entry, otherId) {
  const other = combinationOf(data.byId.get(otherId));
  const mine = packagesOf(entry.stack); // the locks, whatever ran: differences from a lock have a table of their own
  const theirs = packagesOf(other.stack);
  const names = [...new Set([...mine.keys(), ...theirs.keys()])].sort();
  const moved = names.filter((name) => mine.get(name) !== theirs.get(name));
  if (!moved.length) return [h("p", {}, `Both run on the same ${mine.size} packages.`)];
  return [h("p", {}, `${moved.length} of ${names.length} packages differ from `, h("a", { href: combinationHash(otherId) }, otherId), ` (${data.states[other.state][1]}).`),
    h("div", { class: "scroll", role: "region", "aria-label": "Differing packages", tabindex: "0" }, h("table", { class: "diff" },
      h("thead", {}, h("tr", {}, ["Package", "Here", "There"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, moved.map((name) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, mine.get(name) || "absent"), h("td", {}, theirs.get(name) || "absent"))))))];
}

/** Rung of the highest stage passed, with a whole pass above all. */
function climbed(row) {
  return stateOf(row) === "pass" ? 99 : row[ROW.height] ?? -1;
}

/** Combinations that differ from this one in exactly one axis and came further. */
function neighboursThatHelp(entry) {
  const own = data.rows[entry.index];
  const found = [];
  for (const row of data.rows) {
    if (climbed(row) <= climbed(own) || !["pass", "partial"].includes(stateOf(row))) continue;
    const moved = row[ROW.axes].reduce((places, value, place) => (value === own[ROW.axes][place] ? places : [...places, place]), []);
    if (moved.length === 1) found.push([row, data.axes[moved[0]], Math.abs(row[ROW.axes][moved[0]] - own[ROW.axes][moved[0]])]);
  }
  return found.sort((one, two) => one[2] - two[2]);
}

function nearestPass(entry) {
  const near = neighboursThatHelp(entry).find(([row]) => row[ROW.stack] !== null);
  return near ? near[0][ROW.id] : null;
}
