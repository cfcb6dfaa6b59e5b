/**
 * Keeps the page of something that goes on up to date: fetches the page again and puts its parts in place of the old
 * ones. Without it the page works and stands still. A part that holds the focus is left alone, and a button stops it all.
 */
export const liveScript = /* js */ `"use strict";
(() => {
  const main = document.querySelector("main[data-live]");
  if (main === null) return;
  const everyMs = 3000;
  let isPaused = false;
  let isBusy = false;

  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  const label = () => {
    button.textContent = isPaused ? "Resume updates" : "Pause updates";
  };
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    label();
  });
  label();
  document.querySelector("[data-live-control]")?.append(button);

  async function refresh() {
    if (isPaused || isBusy || document.hidden) return;
    isBusy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-part]")) {
        const fresh = page.querySelector('[data-part="' + old.dataset.part + '"]');
        const isHeld = old.contains(document.activeElement) || old.contains(getSelection()?.anchorNode ?? null) && !getSelection().isCollapsed;
        if (fresh === null || isHeld || fresh.innerHTML === old.innerHTML) continue;
        old.replaceWith(document.adoptNode(fresh));
      }
      document.title = page.title;
      if (page.querySelector("main[data-live]") === null) {
        clearInterval(timer);
        button.remove();
      }
    } catch {
      // The board is away or the session has ended: what is shown stays, and the next try follows.
    } finally {
      isBusy = false;
    }
  }
  const timer = setInterval(refresh, everyMs);
})();
`;
