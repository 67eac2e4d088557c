// The map of models: rows are found by a model's name, whatever its size or quantisation.

function modelWord(text) {
  const name = text.trim().toLowerCase().replace(/^.*\//, "").replace(/[\s_]+/g, "-");
  return name.replace(/-(\d+(\.\d+)?[bm]|a\d+b|instruct|chat|it|base|thinking|int[48]|awq|gptq|fp8|w8a8|bf16)(-.*)?$/, "");
}

function prepareArchitectures() {
  const field = byId("find-model");
  if (!field) return;
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
