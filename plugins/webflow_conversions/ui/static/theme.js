// The look of the Airflow around us, before anything is drawn: light or dark, and the colours of its theme.
// Alone in a window, Airflow's own setting of this browser counts, then the system's.
"use strict";

(() => {
  const ours = document.documentElement;
  const tokens = { bg: "--bg", fg: "--fg", "brand-solid": "--brand", "brand-contrast": "--on-brand" };

  const airflow = () => {
    try {
      return window.parent === window ? null : window.parent.document.documentElement;
    } catch {
      return null; // framed by another site, whose look is no business of ours
    }
  };

  const isDark = (theirs) => {
    if (theirs && (theirs.classList.contains("dark") || theirs.classList.contains("light"))) {
      return theirs.classList.contains("dark");
    }
    let kept = null;
    try {
      kept = localStorage.getItem("theme");
    } catch {
      // no storage in this frame
    }
    return kept === "dark" || (kept !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  };

  const follow = () => {
    const theirs = airflow();
    const dark = isDark(theirs);
    ours.classList.toggle("dark", dark);
    ours.classList.toggle("light", !dark);
    if (theirs) {
      const style = window.parent.getComputedStyle(theirs);
      for (const [token, name] of Object.entries(tokens)) {
        const value = style.getPropertyValue(`--chakra-colors-${token}`).trim();
        if (value) {
          ours.style.setProperty(name, value);
        }
      }
    }
    document.dispatchEvent(new Event("theme"));
  };

  follow();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
  const theirs = airflow();
  if (theirs) {
    new MutationObserver(follow).observe(theirs, { attributes: true, attributeFilter: ["class"] });
  }
})();
