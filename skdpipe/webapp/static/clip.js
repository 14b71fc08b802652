// The page of a clip: choose it, label it with one or two students, play it, download the labels.

import { chart } from "./chart.js";
import { button, choice, field, hideProblem, make, showProblem } from "./dom.js";
import { Player } from "./player.js";
import { follow, request, upload } from "./requests.js";
import { ranking, segmentAt, segmentTable, textOf, timeline } from "./timeline.js";

const NOTHING = "";

export class ClipPage {
  #clip = null; // {id, name, seconds, address}
  #work = null; // AbortController of what is under way

  constructor(state) {
    this.state = state;
    this.student = choice(state.students);
    this.other = choice([[NOTHING, "nothing"], ...state.students]);
    this.people = choice([["", "as trained"], ["apart", "each apart"], ["together", "together"]]);
    for (const each of [this.student, this.other, this.people]) {
      each.addEventListener("change", () => this.#clip && this.#label());
    }
    this.player = new Player(state.people_colours);
    this.results = make("div", { className: "results" });
    this.progress = make("progress", { "aria-label": "Progress" });
    this.doing = make("span", { role: "status" });
    const cancel = button("Cancel", () => this.#work?.abort(new DOMException("cancelled", "AbortError")));
    this.waiting = make("div", { className: "waiting", hidden: true }, this.doing, this.progress, cancel);
    this.shown = make("div", { hidden: true }, this.player.element, this.results);
    this.element = make("section", { "aria-label": "Clip" }, ...this.#chooser(), this.waiting, this.shown);
    addEventListener("pagehide", () => this.#forget());
  }

  #chooser() {
    const { students, limits } = this.state;
    if (!students.length) {
      return [make("p", { className: "empty" }, "There is no trained student, so that clips cannot be labelled here. " +
        "Train one with “skdpipe distill”, or start with “skdpipe app --bundle FILE”. The cache and runs can be browsed.")];
    }
    this.input = make("input", {
      type: "file", accept: "video/*,.mkv,.avi,.mts,.ts", className: "hidden", tabIndex: -1,
      "aria-label": "File of a clip",
      onchange: () => {
        if (this.input.files[0]) this.#open(this.input.files[0]);
        this.input.value = "";
      },
    });
    const drop = (this.drop = make("div", { className: "drop" },
      make("p", {}, "Drop a video here, or"),
      button("Choose a file", () => this.input.click(), { className: "main" }), this.input,
      make("p", { className: "note" }, `At most ${Math.round(limits.bytes / 2 ** 20)} MiB and ${Math.round(limits.seconds / 60)} minutes. ` +
        "The clip stays on the computer where skdpipe runs, and is removed when you leave the page.")));
    for (const event of ["dragenter", "dragover", "dragleave", "drop"]) {
      drop.addEventListener(event, (happened) => {
        happened.preventDefault();
        drop.classList.toggle("over", event === "dragenter" || event === "dragover");
        const file = event === "drop" ? happened.dataTransfer.files[0] : null;
        if (file) this.#open(file);
      });
    }
    return [make("div", { className: "toolbar" }, field("Student", this.student), field("Compare with", this.other),
      field("People are labelled", this.people)), drop];
  }

  async #open(file) {
    if (file.size > this.state.limits.bytes) {
      return showProblem(`the clip is larger than ${Math.round(this.state.limits.bytes / 2 ** 20)} MiB; choose a smaller one`);
    }
    this.#forget();
    this.shown.hidden = true;
    await this.#during(async (signal) => {
      const onprogress = (done, total) => this.#show("Sending", done / total);
      this.#show("Sending", 0);
      const clip = await upload(`/api/clips?name=${encodeURIComponent(file.name)}`, file, { onprogress, signal });
      this.#clip = { ...clip, address: URL.createObjectURL(file) };
    });
    if (this.#clip) await this.#label();
  }

  async #label() {
    const clip = this.#clip;
    const students = [this.student.value, this.other.value].filter((each) => each !== NOTHING);
    await this.#during(async (signal) => {
      const results = [];
      for (const student of [...new Set(students)]) {
        const what = students.length > 1 ? `Labelling with ${student}` : "Labelling";
        this.#show(what);
        const path = `/api/clips/${clip.id}/labels?student=${encodeURIComponent(student)}&people=${this.people.value}`;
        const { job } = await request("POST", path, { signal });
        const onprogress = ({ state, done, total }) => {
          const waits = state === "waiting" ? "Waiting for other work" : done ? what : `${what}: loading`;
          this.#show(waits, total ? done / total : undefined, total ? `${Math.round(done)} of about ${total} frames` : "");
        };
        results.push({ student, job, ...(await follow(job, { onprogress, signal })) });
      }
      this.#display(clip, results);
    });
  }

  // Do something that takes time; what was under way is ended.
  async #during(work) {
    this.#work?.abort(new DOMException("replaced", "AbortError"));
    const own = (this.#work = new AbortController());
    hideProblem();
    try {
      await work(own.signal);
    } catch (error) {
      showProblem(error);
    } finally {
      if (this.#work === own) {
        this.#work = null;
        this.waiting.hidden = true;
      }
    }
  }

  #show(what, share, note = "") {
    this.waiting.hidden = false;
    this.doing.textContent = note ? `${what}: ${note}` : `${what} …`;
    if (share === undefined) this.progress.removeAttribute("value");
    else this.progress.value = Math.min(1, share);
  }

  #display(clip, results) {
    this.shown.hidden = false;
    this.drop.classList.add("small");
    const compared = results.length > 1;
    this.shown.classList.toggle("beside", !compared && results[0].ranking.length > 0);
    this.player.load({
      source: clip.address,
      seconds: results[0].seconds,
      convert: () => this.#convert(clip),
      views: results.map((result) => ({
        title: compared ? result.student : "",
        poses: result.poses,
        labelOf: (person, time) => segmentAt(result.segments, person, time)?.label ?? "",
      })),
    });
    this.results.classList.toggle("compared", compared);
    this.results.replaceChildren(...results.map((result) => this.#describe(clip, result)));
    this.player.seek(0);
  }

  // The address of the clip in a form that browsers play.
  async #convert(clip) {
    const { job } = await request("POST", `/api/clips/${clip.id}/playable`);
    await follow(job, { onprogress: () => {} });
    clip.address = `/api/clips/${clip.id}/video`; // for the next labels of this clip
    return clip.address;
  }

  #describe(clip, result) {
    const seek = (seconds) => this.player.seek(seconds);
    const parts = [timeline(result, seek)];
    if (result.windows.length) parts.push(chart(result, seek));
    const single = result.ranking.length > 0;
    if (!single) parts.push(segmentTable(result, seek));
    const [rows, ...others] = parts;
    const now = make("p", { className: "now-label" });
    for (const part of parts) this.player.ontime((seconds) => part.show(seconds));
    this.player.ontime((seconds) => {
      const together = result.segments.filter((each) => each.start <= seconds && seconds < each.end);
      now.textContent = together.map((each) => (each.person === null ? "" : `${each.person}: `) + textOf(each)).join(", ") || "–";
    });
    const explained = single
      ? "The clip is not longer than the student's training clips: it has one label."
      : result.windows.length ? `Probabilities of windows of ${(result.windows[0][1] - result.windows[0][0]).toFixed(1)} s.` : "";
    return make("section", { className: "result", "aria-label": result.student },
      make("h2", {}, result.student), make("p", { className: "note" }, `${clip.name} · runtime ${result.runtime}`),
      now, rows.element,
      explained ? make("p", { className: "note" }, explained) : null,
      single ? ranking(result) : null, ...others.map((part) => part.element), this.#downloads(result));
  }

  #downloads(result) {
    const link = (kind, text) => make("a", { href: `/api/jobs/${result.job}/segments.${kind}`, download: `segments.${kind}`, className: "button" }, text);
    return make("p", { className: "downloads" }, link("csv", "Segments as CSV"), link("vtt", "Segments as WebVTT"));
  }

  // The server removes the clip that is not shown any more.
  #forget() {
    this.#work?.abort(new DOMException("left", "AbortError"));
    if (!this.#clip) return;
    URL.revokeObjectURL(this.#clip.address);
    request("DELETE", `/api/clips/${this.#clip.id}`, { keepalive: true }).catch(() => {});
    this.#clip = null;
  }

  leave() {
    this.player.pause();
  }
}
