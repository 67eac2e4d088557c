// Starts the page: data, theme, filters, and the two views that the address chooses between.

function prepareThemes() {
  const root = document.documentElement;
  const choose = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme));
    }
  };
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.addEventListener("click", () => {
      choose(button.dataset.themeChoice);
      try { localStorage.setItem("report-theme", button.dataset.themeChoice); } catch { /* no storage: for this visit only */ }
    });
  }
  choose(root.dataset.theme || "auto");
}

function prepareCopies() {
  for (const button of document.querySelectorAll("button.copy[data-copies]")) {
    button.setAttribute("aria-label", `Copy: ${button.dataset.copies}`);
    button.addEventListener("click", () => copyText(button.closest(".command").querySelector("pre").textContent, button.dataset.copies));
  }
}

/** A page grows old after it was made: the ages are those of the day on which it is read. */
function tellAges() {
  const limit = Number(byId("sources")?.dataset.stale);
  const old = [];
  for (const cell of document.querySelectorAll("#sources [data-last]")) {
    const days = Math.floor((Date.now() - Date.parse(cell.dataset.last)) / 86_400_000);
    if (days > 1) cell.querySelector("span").textContent = `${days} days`;
    if (days > limit) old.push(`${cell.dataset.name}: ${days} days, of ${cell.dataset.last.slice(0, 10)}`);
  }
  if (!old.length) return;
  byId("old-evidence").hidden = false;
  byId("old-evidence").querySelector("span").textContent = old.join("; ");
}

let scrolled = 0;
let shownId = null;

function show() {
  const at = readHash();
  const overview = byId("overview");
  const page = byId("combination");
  hint(null);
  if (view.open !== null) {
    if (!overview.hidden) scrolled = window.scrollY;
    overview.hidden = true;
    document.documentElement.dataset.open = "true";
    page.hidden = false;
    openCombination(view.open);
    shownId = view.open;
    document.title = `${view.open} · ${baseTitle}`;
    window.scrollTo({ top: 0, behavior: "instant" });
    page.focus({ preventScroll: true });
    return;
  }
  const returning = !page.hidden;
  page.hidden = true;
  delete document.documentElement.dataset.open;
  overview.hidden = false;
  document.title = baseTitle;
  listDrawn = () => {};
  refresh();
  if (at && byId(at)) {
    const target = byId(at);
    if (target.tagName === "DETAILS") target.open = true;
    if (!(returning && at === "matrix")) {
      // Maps take their true size only when they come near, so the place is looked for again once they have.
      const go = () => target.scrollIntoView({ behavior: "instant" });
      listDrawn = () => {
        listDrawn = () => {};
        requestAnimationFrame(() => requestAnimationFrame(go));
      };
      go();
      return requestAnimationFrame(() => requestAnimationFrame(go));
    }
  }
  if (returning) {
    window.scrollTo({ top: scrolled, behavior: "instant" });
    const back = cellOf(shownId);
    if (back && !back.closest("[hidden]")) back.focus({ preventScroll: true });
  }
}

const baseTitle = document.title;

async function start() {
  prepareThemes();
  prepareCopies();
  tellAges();
  await loadData();
  prepareFilters();
  prepareMaps();
  prepareScan();
  prepareArchitectures();
  window.addEventListener("hashchange", show);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && !byId("overview").hidden) {
      event.preventDefault();
      byId("filter-q").focus();
    }
  });
  show();
  setTimeout(prepareSearch, 200); // before the first letter is typed
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  document.documentElement.classList.remove("scripted");
  byId("said").textContent = `The page's data could not be read (${error.message}). What is shown is what the file holds without it; report.json beside it has everything.`;
});
