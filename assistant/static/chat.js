// What Gradio does not do: announce an answer once, lead from a number to its source and back, hand over a file.
(() => {
  "use strict";
  let cameFrom = null;

  const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  // Gradio's log speaks with each change while an answer grows; ".spoken" changes once, when it is whole.
  function watch() {
    for (const log of document.querySelectorAll("[role=log]:not([aria-live=off])")) log.setAttribute("aria-live", "off");
    for (const region of document.querySelectorAll(".prose.spoken:not([role])")) region.setAttribute("role", "status");
    // Gradio labels a message with its whole Markdown, and the box with all that stands beside it.
    for (const [what, name] of [["bot", "Answer"], ["user", "Asked"]]) {
      for (const one of document.querySelectorAll(`[data-testid=${what}][aria-label]:not([aria-label=${name}])`)) one.setAttribute("aria-label", name);
    }
    for (const examples of document.querySelectorAll(".examples[role=list]")) examples.setAttribute("role", "group");
    for (const box of document.querySelectorAll("textarea:not([aria-label])")) box.setAttribute("aria-label", "Question");
    const made = document.querySelector(".prose.exported")?.textContent.trim() ?? "";
    if (made !== exported) {
      exported = made;
      const [, name, base64] = /^(\S+) ([A-Za-z0-9+/=]+)$/.exec(made) ?? [];
      if (name) download(name, base64);
    }
  }

  // ".exported" holds a file's name and its bytes in base 64.
  let exported = "";
  function download(name, base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  new MutationObserver(watch).observe(document.documentElement, { childList: true, subtree: true, characterData: true });

  function show(card, focus) {
    for (let at = card.parentElement; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") at.open = true;
    }
    card.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
    if (focus) card.focus({ preventScroll: true });
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#source-"]');
    if (!link) return;
    const card = document.getElementById(link.getAttribute("href").slice(1));
    if (!card) return;
    event.preventDefault();
    cameFrom = link;
    history.replaceState(history.state, "", link.getAttribute("href"));
    show(card, true);
  });

  // Escape in a source leads back to the number that led there.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !event.target.closest?.(".source")) return;
    const back = cameFrom?.isConnected
      ? cameFrom
      : document.querySelector(`a[href="#${event.target.closest(".source").id}"]`);
    if (!back) return;
    event.preventDefault();
    back.focus();
    back.scrollIntoView({ block: "nearest" });
  });
})();
