// What a page does beyond its HTML: load what was said when a step is opened, find a step that a bar points to, and keep a
// running run fresh without closing what the reader has opened. Without this file every page still works.
"use strict";

async function load(step) {
  const link = step.querySelector(":scope > summary > a.load");
  if (!link || ["loading", "shown"].includes(link.dataset.state)) return;
  link.dataset.state = "loading";
  try {
    const answer = await fetch(link.href, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const payload = page.getElementById("payload");
    if (!answer.ok || !payload) throw new Error(String(answer.status));
    show(step, document.adoptNode(payload));
  } catch {
    link.dataset.state = "failed"; // it stays a link, so the next click tries again
  }
}

function show(step, payload) {
  payload.removeAttribute("id");
  step.querySelector(":scope > .body").prepend(payload);
  step.querySelector(":scope > summary > a.load").dataset.state = "shown";
}

function reveal() {
  const found = location.hash.startsWith("#s-") && document.getElementById(location.hash.slice(1));
  if (!found) return;
  for (let above = found; above; above = above.parentElement?.closest("details")) above.open = true;
  document.querySelectorAll("details.found").forEach((other) => other.classList.remove("found"));
  found.classList.add("found");
  found.querySelector("summary").scrollIntoView({ block: "center" });
}

async function refresh() {
  const answer = await fetch(location.href, { credentials: "same-origin" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const main = document.getElementById("main");
  const states = new Map([...main.querySelectorAll("details[id]")].map((step) => [step.id, step]));
  const fresh = document.adoptNode(page.getElementById("main"));
  for (const step of fresh.querySelectorAll("details[id]")) {
    const before = states.get(step.id);
    if (!before) continue;
    step.open = before.open;
    const payload = before.querySelector(":scope > .body > .payload");
    if (payload) show(step, payload);
  }
  const at = scrollY;
  main.replaceWith(fresh);
  scrollTo(0, at);
  if (!page.body.dataset.live) delete document.body.dataset.live;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a.load");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  const step = link.closest("details");
  step.open = true;
  load(step);
});

document.addEventListener(
  "toggle",
  (event) => {
    if (event.target.open && event.target.classList.contains("leaf")) load(event.target);
  },
  true,
);

addEventListener("hashchange", reveal);
reveal();

(async () => {
  while (document.body.dataset.live) {
    await new Promise((resolve) => setTimeout(resolve, Number(document.body.dataset.live)));
    if (document.hidden || !getSelection().isCollapsed) continue; // a reader who is copying is not disturbed
    await refresh().catch(() => {});
  }
})();
