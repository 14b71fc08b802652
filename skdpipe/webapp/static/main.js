// The start of the page: which part is shown follows from the address behind the #.

import { CachePage } from "./cache.js";
import { CameraPage } from "./camera.js";
import { ClipPage } from "./clip.js";
import { hideProblem, make, showProblem } from "./dom.js";
import { get } from "./requests.js";
import { RunsPage } from "./runs.js";

const PAGES = { clip: ClipPage, camera: CameraPage, cache: CachePage, runs: RunsPage };

const main = document.querySelector("main");
const links = [...document.querySelectorAll("nav a")];
const made = {};
let shown = null;

function show(state) {
  const name = location.hash.slice(2) in PAGES ? location.hash.slice(2) : "clip";
  made[name] ??= new PAGES[name](state);
  if (shown === made[name]) return;
  shown?.leave();
  shown = made[name];
  hideProblem();
  main.replaceChildren(shown.element);
  document.title = `skdpipe: ${name}`;
  for (const link of links) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shown.enter?.();
}

document.addEventListener("keydown", (event) => {
  const isFree = event.target === document.body || event.target.matches("input[type=range], tr, main");
  if (event.key === " " && isFree && shown?.player) {
    event.preventDefault();
    shown.player.toggle();
  }
});

for (const event of ["dragover", "drop"]) {
  addEventListener(event, (happened) => happened.preventDefault()); // else the browser opens the file
}

if (location.search) history.replaceState(null, "", location.pathname + location.hash); // the token
try {
  const state = await get("/api/state");
  addEventListener("hashchange", () => show(state));
  show(state);
} catch (error) {
  showProblem(error);
  main.replaceChildren(make("p", { className: "empty" }, "Nothing can be shown."));
}
