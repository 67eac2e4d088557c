// The map of models: rows are found by a model's name, whatever its size or quantisation.

function modelWord(text) {
  const name = text.trim().toLowerCase().replace(/^.*\//, "").replace(/[\s_]+/g, "-");
  return name.replace(/-(\d+(\.\d+)?[bm]|a\d+b|instruct|chat|it|base|thinking|int[48]|awq|gptq|fp8|w8a8|bf16)(-.*)?$/, "");
}

function prepareArchitectures() {
  const field = byId("find-model");
  if (!field) return;
  prepareCells(document.querySelector("table.architectures"));
  const rows = [...document.querySelectorAll("table.architectures tbody tr")];
  const names = rows.map((row) => row.dataset.names.replace(/[_]+/g, "-"));
  field.addEventListener("input", () => {
    const word = modelWord(field.value);
    let found = 0;
    rows.forEach((row, place) => {
      row.hidden = word !== "" && !names[place].includes(word);
      found += row.hidden ? 0 : 1;
    });
    byId("found-models").textContent = word === "" ? "" : found === 0 ? "No architecture here has a model of that name." : `${found} of ${rows.length}`;
  });
}

/** The same box and arrow keys as the other maps have, one cell of it in the order of the Tab key. */
function prepareCells(map) {
  for (const [place, cell] of [...map.querySelectorAll("td a")].entries()) {
    cell.dataset.why = cell.title;
    cell.removeAttribute("title");
    cell.tabIndex = place ? -1 : 0;
  }
  const tell = (event) => {
    const cell = event.target.closest("td a");
    boxAt(cell, cell ? [h("strong", {}, cell.closest("tr").querySelector("b").textContent), h("p", {}, cell.dataset.why)] : []);
  };
  for (const name of ["mouseover", "focusin"]) map.addEventListener(name, tell);
  for (const name of ["mouseleave", "focusout"]) map.addEventListener(name, () => boxAt(null, []));
  map.addEventListener("keydown", walk);
}
