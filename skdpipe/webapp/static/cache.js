// The page of the pose cache: search clips, play the skeletons of both qualities in step.

import { button, cells, choice, clock, field, hideProblem, make, showProblem, table } from "./dom.js";
import { Player } from "./player.js";
import { get, request } from "./requests.js";

const ALL = "*"; // before names, so that the name of a label is never taken for it

export class CachePage {
  #page = 0;
  #search = 0; // number of the latest search
  #timer = null;
  labels = [];

  constructor(state) {
    this.state = state;
    const later = () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#find(0), 250);
    };
    this.text = make("input", { type: "search", oninput: later, autocomplete: "off" });
    this.label = choice([[ALL, "all"]]);
    this.split = choice([[ALL, "all"]]);
    for (const each of [this.label, this.split]) each.addEventListener("change", () => this.#find(0));
    this.player = new Player(state.people_colours);
    this.status = make("p", { className: "note", role: "status" });
    this.list = make("div");
    this.pager = make("div", { className: "pager" });
    this.detail = make("section", { className: "result detail", hidden: true, "aria-label": "Clip of the cache" });
    this.element = make("section", { "aria-label": "Cache" },
      make("div", { className: "toolbar" }, field("Search names", this.text), field("Label", this.label), field("Split", this.split)),
      this.detail, this.status, this.list, this.pager);
  }

  enter() {
    this.#find(this.#page, true);
  }

  leave() {
    this.player.pause();
    this.#search += 1;
    clearTimeout(this.#timer);
  }

  async #find(page, refresh = false) {
    const number = (this.#search += 1);
    clearTimeout(this.#timer);
    const query = new URLSearchParams({ text: this.text.value, page, refresh });
    if (this.label.value !== ALL) query.set("label", this.label.value.slice(1));
    if (this.split.value !== ALL) query.set("split", this.split.value.slice(1));
    try {
      const found = await get(`/api/cache?${query}`);
      if (number !== this.#search) return;
      this.#page = found.page;
      this.#display(found);
      if (found.is_reading) this.#timer = setTimeout(() => this.#find(this.#page), 1500);
    } catch (error) {
      if (number === this.#search) showProblem(error);
    }
  }

  #display(found) {
    this.labels = found.labels;
    fill(this.label, found.labels);
    fill(this.split, found.splits);
    const reading = found.is_reading ? `reading: ${found.read.toLocaleString("en")} files so far; ` : "";
    const damaged = found.damaged ? `; ${found.damaged.toLocaleString("en")} files cannot be read: “skdpipe cache verify”` : "";
    this.status.textContent = found.read || found.is_reading
      ? `${found.folder}: ${reading}${found.total.toLocaleString("en")} ${found.total === 1 ? "clip" : "clips"} found${damaged}`
      : `${found.folder} contains no clips${damaged}; fill it with “skdpipe extract”, or start with “skdpipe app --cache FOLDER”.`;
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const withSubjects = found.clips.some((clip) => clip.subject);
    const rows = found.clips.map((clip) => make("tr", { className: clip.key === this.shown ? "now" : "" }, ...cells(
      button(shortened(clip.source) || clip.key, () => this.#open(clip.key), { className: "link", title: clip.source, "data-key": clip.key }),
      clip.label || "–", clip.split || "–", ...(withSubjects ? [clip.subject || "–"] : []), clip.qualities.join(", "), clock(clip.seconds),
    )));
    this.list.replaceChildren(...(rows.length ? [table(["Clip", "Label", "Split", ...(withSubjects ? ["Subject"] : []), "Qualities", "Length"], rows, "Clips of the cache")] : []));
    if (focused) this.list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    this.pager.replaceChildren(...(found.pages > 1 ? [
      button("Back", () => this.#find(found.page - 1), { disabled: found.page === 0 }),
      make("span", {}, `Page ${found.page + 1} of ${found.pages.toLocaleString("en")}`),
      button("Next", () => this.#find(found.page + 1), { disabled: found.page + 1 === found.pages }),
    ] : []));
  }

  async #open(key) {
    hideProblem();
    try {
      const clip = await get(`/api/cache/${key}`);
      this.shown = key;
      const chosen = ["high", "low"].map((quality) => clip.files.findIndex((each) => each.quality === quality));
      this.selects = chosen.map((first, side) => this.#chooseFile(clip, first, side));
      this.detail.replaceChildren(
        make("h2", {}, clip.source || clip.key),
        make("p", { className: "note" }, facts(clip)),
        clip.files.length > 1 ? make("div", { className: "toolbar" }, ...this.selects) : "",
        this.player.element,
        this.#correction(clip),
        make("p", { className: "note" }, clip.has_video ? "" : "The video is not there, or in no folder of “skdpipe app --videos FOLDER”."),
      );
      this.detail.hidden = false;
      await this.#play(clip);
      this.detail.scrollIntoView({ block: "nearest" });
      for (const row of this.list.querySelectorAll("tr")) {
        row.classList.toggle("now", row.querySelector(`[data-key="${key}"]`) !== null);
      }
    } catch (error) {
      showProblem(error);
    }
  }

  // The form that corrects the label, and what it has written.
  #correction(clip, done = "") {
    const status = make("p", { className: "note", role: "status" }, done);
    if (this.state.read_only) return status;
    const names = make("datalist", { id: "labels" }, ...this.labels.filter(([name]) => name).map(([, shown]) => make("option", { value: shown })));
    const input = make("input", { value: clip.label, maxLength: 200, autocomplete: "off" });
    input.setAttribute("list", names.id);
    const form = make("form", {
      className: "toolbar",
      onsubmit: (event) => {
        event.preventDefault();
        const label = input.value.trim();
        if (label && label !== clip.label) this.#confirm(clip, label, element);
      },
    }, field("Label", input), names, make("button", { type: "submit" }, "Correct the label …"),
    clip.corrected ? button(`Restore ${quoted(clip.original)}`, () => this.#write(clip, null, element)) : null);
    const element = make("div", {}, form, status);
    return element;
  }

  #confirm(clip, label, element) {
    const count = clip.files.length;
    const dialog = make("dialog", { "aria-label": "Correct the label" },
      make("p", {}, `Write the label ${quoted(label)} into ${count} ${count === 1 ? "file" : "files"} of the cache? It replaces ` +
        `${quoted(clip.label)}, and the next “skdpipe extract” keeps it. Trained students do not change.`),
      make("div", { className: "downloads" },
        button("Write the label", () => dialog.close("write"), { className: "main" }),
        button("Cancel", () => dialog.close(), {})));
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (dialog.returnValue === "write") this.#write(clip, label, element);
    });
    this.element.append(dialog);
    dialog.showModal();
  }

  // Write a label, or with null restore the one before all corrections.
  async #write(clip, label, element) {
    hideProblem();
    try {
      const path = `/api/cache/${clip.key}/label`;
      const body = label === null ? undefined : JSON.stringify({ label });
      const changed = await request(label === null ? "DELETE" : "PUT", path, { body });
      const files = `${changed.written} ${changed.written === 1 ? "file" : "files"}`;
      const done = `Wrote ${quoted(changed.label)} into ${files}; the label was ${quoted(clip.label)}.`;
      if (this.shown !== clip.key) return;
      this.detail.querySelector(".note").textContent = facts(changed);
      element.replaceWith(this.#correction(changed, done));
      this.#find(this.#page);
    } catch (error) {
      showProblem(error);
    }
  }

  #chooseFile(clip, first, side) {
    const names = clip.files.map((each, number) => [String(number), `${each.quality}: ${each.settings}`]);
    const select = choice([["", "nothing"], ...names], first < 0 ? "" : String(first));
    select.addEventListener("change", () => this.#play(clip).catch(showProblem));
    return field(side ? "Right" : "Left", select);
  }

  async #play(clip) {
    const numbers = [...new Set(this.selects.map((each) => each.querySelector("select").value))].filter((each) => each !== "");
    const files = await Promise.all(numbers.map((number) => get(`/api/cache/${clip.key}/poses/${number}`)));
    if (clip.key !== this.shown) return;
    const titles = numbers.map((number, index) => {
      const { quality, frames } = clip.files[Number(number)];
      const people = new Set(files[index].poses.frames.flatMap((frame) => frame[1])).size;
      return `${quality} quality, ${frames} frames, ${people} ${people === 1 ? "person" : "people"}`;
    });
    this.player.load({
      source: clip.has_video ? `/api/cache/${clip.key}/video` : null,
      seconds: Math.max(clip.seconds, ...files.map((each) => each.seconds)),
      views: files.map((each, index) => ({ title: titles[index], poses: each.poses })),
    });
  }
}

// The end of a path: most clips of a cache have the same folders before it.
function shortened(path) {
  return path.split(/[\\/]/).slice(-3).join("/");
}

function quoted(label) {
  return label ? `“${label}”` : "no label";
}

function facts(clip) {
  return [clip.label || "no label", clip.split && `split ${clip.split}`, clip.subject && `subject ${clip.subject}`]
    .filter(Boolean).join(" · ");
}

// The choices of a select: all, then names with the numbers of their clips.
function fill(select, names) {
  const before = select.value;
  const options = names.map(([name, shown, count]) => [`=${name}`, `${shown || "none"} (${count.toLocaleString("en")})`]);
  const made = [[ALL, "all"], ...options];
  if (made.length === select.options.length && made.every(([, text], index) => select.options[index].text === text)) return;
  select.replaceChildren(...choice(made).children);
  select.value = made.some(([value]) => value === before) ? before : ALL;
}
