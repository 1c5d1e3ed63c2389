// @ts-check
/** Light or dark: the system's choice until the reader makes another. Loaded before the first paint, so no module. */
(() => {
  const KEY = "belfry-demo-theme";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const chosen = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be forbidden; the choice then lasts as long as the page
    }
  };
  const remember = (/** @type {string} */ theme) => {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // as above
    }
  };

  const first = chosen();
  if (first) root.dataset.theme = first;

  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme")?.addEventListener("click", () => {
      const other = dark.matches ? "light" : "dark"; // than the system's: the next press leads back to that
      if (root.dataset.theme) delete root.dataset.theme;
      else root.dataset.theme = other;
      remember(root.dataset.theme ?? "");
    });
  });
})();
