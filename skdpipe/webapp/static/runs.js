// The page of runs: figures, conclusions and the report.

import { button, cells, choice, field, hideProblem, make, showProblem, table } from "./dom.js";
import { follow, get, request } from "./requests.js";

export class RunsPage {
  #work = null; // AbortController of a report that is being written

  constructor(state) {
    this.state = state;
    this.run = choice([]);
    this.run.addEventListener("change", () => this.#open());
    this.toolbar = make("div", { className: "toolbar" }, field("Run", this.run));
    this.status = make("p", { className: "note", role: "status" });
    this.content = make("div");
    this.element = make("section", { "aria-label": "Runs" }, this.toolbar, this.status, this.content);
  }

  async enter() {
    try {
      const { runs, folder } = await get("/api/runs");
      this.toolbar.hidden = !runs.length;
      this.status.textContent = runs.length ? "" : `There is no run under ${folder}; make one with “skdpipe distill”.`;
      const before = this.run.value;
      this.run.replaceChildren(...choice(runs).children);
      if (runs.includes(before)) this.run.value = before;
      if (runs.length) await this.#open();
    } catch (error) {
      showProblem(error);
    }
  }

  leave() {
    this.#work?.abort(new DOMException("left", "AbortError"));
  }

  async #open() {
    const name = this.run.value;
    this.leave();
    hideProblem();
    this.content.replaceChildren();
    this.status.textContent = "Reading …";
    try {
      const run = await get(`/api/runs/${encodeURIComponent(name)}`);
      if (name === this.run.value) this.#display(name, run);
    } catch (error) {
      this.status.textContent = "";
      showProblem(error);
    }
  }

  #display(name, run) {
    this.status.textContent = `${run.classes.length} classes, ${run.training_clips.toLocaleString("en")} training clips, ` +
      `${run.test_clips.toLocaleString("en")} test clips, seed ${run.seed}; high: ${run.high}, low: ${run.low}`;
    const number = (value, digits) => (value === null ? "–" : value.toFixed(digits));
    const rows = run.methods.map((each) => make("tr", {}, ...cells(
      each.title, each.quality, `${each.top1[0].toFixed(2)} [${each.top1[1].toFixed(0)}, ${each.top1[2].toFixed(0)}]`,
      number(each.top5, 2), number(each.training_top1, 2),
      each.parameters === null ? "–" : each.parameters.toLocaleString("en"), number(each.gflops, 3),
    )));
    const headings = ["Method", "Quality", "Top-1 % [95 %]", "Top-5 %", "Train %", "Parameters", "GFLOPs"];
    this.report = make("div");
    this.content.replaceChildren(
      make("div", { className: "result" }, table(headings, rows, "Methods of the run"),
        make("ul", { className: "conclusions" }, ...run.conclusions.map((text) => make("li", {}, ...withCode(text))))),
      this.report,
    );
    if (run.has_report) this.#showReport(name);
    else this.#offerReport(name);
  }

  #showReport(name) {
    const address = `/api/runs/${encodeURIComponent(name)}/report`;
    const frame = make("iframe", { src: address, title: `Report of ${name}` });
    frame.setAttribute("sandbox", "");
    this.report.replaceChildren(make("div", { className: "heading" },
      make("h2", {}, "Report"), make("a", { href: address, target: "_blank", rel: "noopener" }, "Open the report alone")), frame);
  }

  #offerReport(name) {
    if (this.state.read_only) {
      this.report.replaceChildren(make("p", { className: "note" }, `The run has no report; “skdpipe report ${name}” writes one.`));
      return;
    }
    const begin = button("Write the report", () => this.#make(name, begin));
    this.report.replaceChildren(make("p", { className: "note" }, "The run has no report. It is written to report.html in the run's folder, which takes a minute or more."), begin);
  }

  async #make(name, begin) {
    hideProblem();
    begin.disabled = true;
    const progress = make("progress", { "aria-label": "Writing the report" });
    this.report.append(make("div", { className: "waiting" }, make("span", { role: "status" }, "Writing the report …"), progress));
    const own = (this.#work = new AbortController());
    try {
      const { job } = await request("POST", `/api/runs/${encodeURIComponent(name)}/report`, { signal: own.signal });
      await follow(job, { onprogress: () => {}, signal: own.signal });
      this.#showReport(name);
    } catch (error) {
      showProblem(error);
      this.#offerReport(name);
    }
  }
}

// Text with what is between backticks as code.
function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}
