// The page of the camera: pictures are sent one after the other, each when the one before is labelled.

import { button, cells, choice, clock, field, hideProblem, make, showProblem, table } from "./dom.js";
import { follow, request } from "./requests.js";
import { drawPeople } from "./skeleton.js";
import { nameOf, textOf } from "./timeline.js";

const LONGEST = 640; // pixels of the longer side of a picture that is sent
const PERIOD = 50; // milliseconds between two pictures, at least
const ROWS = 50;

export class CameraPage {
  #running = null; // AbortController of what is under way
  #session = null;

  constructor(state) {
    this.state = state;
    this.student = choice(state.students);
    this.startButton = button("Start the camera", () => (this.#running ? this.#stop() : this.#start()), { className: "main" });
    this.video = make("video", { muted: true, playsInline: true, className: "source", tabIndex: -1 });
    this.canvas = make("canvas", { role: "img", "aria-label": "The camera with skeletons", hidden: true });
    this.now = make("p", { className: "now-label", "aria-live": "polite" });
    this.rate = make("p", { className: "note", role: "status" });
    this.list = make("div");
    this.element = make("section", { "aria-label": "Camera" }, ...(state.students.length
      ? [make("div", { className: "toolbar" }, field("Student", this.student), this.startButton),
        make("p", { className: "note" }, "Pictures are sent to the computer where skdpipe runs, and are not stored."),
        this.video, this.canvas, this.now, this.rate, this.list]
      : [make("p", { className: "empty" }, "There is no trained student, so that the camera cannot be labelled. Train one with “skdpipe distill”.")]));
  }

  leave() {
    this.#stop();
  }

  async #start() {
    hideProblem();
    const own = (this.#running = new AbortController());
    this.startButton.textContent = "Stop the camera";
    this.student.disabled = true;
    this.segments = [];
    this.drawn = null;
    this.list.replaceChildren();
    try {
      const stream = await openCamera();
      own.signal.addEventListener("abort", () => stream.getTracks().forEach((track) => track.stop()));
      if (own.signal.aborted) return stream.getTracks().forEach((track) => track.stop());
      this.video.srcObject = stream;
      await this.video.play();
      this.rate.textContent = "Loading …";
      this.canvas.hidden = false;
      this.#show(own.signal);
      const path = `/api/camera?student=${encodeURIComponent(this.student.value)}`;
      const { job } = await request("POST", path, { signal: own.signal });
      this.#session = await follow(job, { onprogress: () => {}, signal: own.signal });
      await this.#send(own.signal);
    } catch (error) {
      if (this.#running === own) {
        showProblem(error);
        this.#stop();
      }
    }
  }

  #stop() {
    if (!this.#running) return;
    this.#running.abort(new DOMException("stopped", "AbortError"));
    this.#running = null;
    this.startButton.textContent = "Start the camera";
    this.student.disabled = false;
    this.video.srcObject = null;
    this.canvas.hidden = true;
    this.now.textContent = "";
    this.rate.textContent = "";
    if (this.#session) {
      const path = `/api/camera/${encodeURIComponent(this.#session)}`;
      request("DELETE", path, { keepalive: true }).then((last) => this.#list(last.segments)).catch(() => {});
      this.#session = null;
    }
  }

  // Draw the video with the latest skeletons until it ends.
  #show(signal) {
    if (signal.aborted) return;
    const { videoWidth, videoHeight } = this.video;
    if (videoWidth) {
      const room = Math.min(this.canvas.parentElement.clientWidth, (innerHeight * 0.62 * videoWidth) / videoHeight);
      const [width, height] = [room, (room * videoHeight) / videoWidth].map((each) => Math.round(each * devicePixelRatio));
      if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
      this.canvas.style.width = `${Math.round(room)}px`;
      const context = this.canvas.getContext("2d");
      context.drawImage(this.video, 0, 0, width, height);
      if (this.drawn) {
        const [, numbers, places] = this.drawn.poses.frames[0];
        const people = numbers.map((number, index) => [number, places[index]]);
        drawPeople(context, this.drawn.poses, people, this.state.people_colours, width / this.drawn.poses.size[0], this.drawn.labelOf);
      }
    }
    requestAnimationFrame(() => this.#show(signal));
  }

  async #send(signal) {
    const started = performance.now();
    const recent = [];
    while (!signal.aborted) {
      const taken = performance.now();
      const path = `/api/camera/${encodeURIComponent(this.#session)}/pictures?seconds=${((taken - started) / 1000).toFixed(4)}`;
      const found = await request("POST", path, { body: await this.#picture(), signal });
      const now = performance.now();
      recent.push(now);
      while (recent[0] < now - 3000) recent.shift();
      this.#display(found);
      const rate = recent.length > 1 ? (1000 * (recent.length - 1)) / (now - recent[0]) : 0;
      this.rate.textContent = `${rate.toFixed(1)} pictures a second, skeletons ${Math.round(now - taken)} ms late`;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, PERIOD - (now - taken))));
    }
  }

  #picture() {
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(1, LONGEST / Math.max(videoWidth, videoHeight));
    const canvas = make("canvas", { width: Math.round(videoWidth * scale), height: Math.round(videoHeight * scale) });
    canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
  }

  #display({ poses, now, segments }) {
    const labels = new Map(now.map((each) => [each.person, each.label ?? ""]));
    if (poses) this.drawn = { poses, labelOf: (person) => labels.get(person) ?? "" };
    const text = now.map((each) => (each.person === null ? "" : `${each.person}: `) + textOf(each)).join(", ") || "–";
    if (this.now.textContent !== text) this.now.textContent = text;
    if (segments.length) this.#list(segments);
  }

  #list(segments) {
    this.segments = [...segments.toReversed(), ...this.segments].slice(0, ROWS);
    const rows = this.segments.map((each) => make("tr", {}, ...cells(
      clock(each.start), clock(each.end), nameOf(each.person), textOf(each), each.label === null ? "" : each.probability.toFixed(2),
    )));
    if (rows.length) this.list.replaceChildren(table(["Start", "End", "Person", "Label", "Probability"], rows, "Labels of the camera, the latest first"));
  }
}

async function openCamera() {
  if (!navigator.mediaDevices) {
    throw new Error("the browser gives its camera only to this computer's own pages or to https; open the page on the computer where skdpipe runs");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
  } catch (error) {
    const reasons = { NotAllowedError: "the browser was not permitted to use the camera; permit it and start again",
      NotFoundError: "no camera was found; connect one and start again", NotReadableError: "another program uses the camera; close it and start again" };
    throw new Error(reasons[error.name] ?? `the camera cannot be used (${error.name})`);
  }
}
