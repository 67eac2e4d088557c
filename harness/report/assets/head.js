// Runs before the first paint: says that scripts run, and restores the theme that the reader chose.
document.documentElement.classList.add("scripted");
try {
  const theme = localStorage.getItem("report-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* no storage: follow the system */ }
