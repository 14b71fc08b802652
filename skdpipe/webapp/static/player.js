// Plays a video, or time alone, with skeletons drawn on one or several views in step.

import { button, choice, clock, make } from "./dom.js";
import { drawPeople, peopleAt } from "./skeleton.js";

const SPEEDS = [["0.25", "¼ ×"], ["0.5", "½ ×"], ["1", "1 ×"], ["2", "2 ×"]];
const STEP = 0.1; // seconds of a step by key or button

export class Player {
  #video = make("video", { className: "source", muted: true, playsInline: true, preload: "auto", tabIndex: -1 });
  #hasPicture = false;
  #views = [];
  #seconds = 0;
  #time = 0;
  #shownTime = null; // of the picture, which may be that of a frame a little before; null if it is not known
  #started = null; // [clock of the page, time of the video] while time plays alone
  #listeners = [];
  #loaded = 0;

  constructor(colours) {
    this.colours = colours;
    this.#video.setAttribute("aria-hidden", "true");
    this.pictures = make("div", { className: "views" });
    this.note = make("p", { className: "note", hidden: true });
    this.playButton = button("▶", () => this.toggle(), { className: "play", "aria-label": "Play" });
    this.slider = make("input", {
      type: "range", min: "0", step: "0.01", value: "0", "aria-label": "Time",
      oninput: () => this.seek(Number(this.slider.value)),
      onkeydown: (event) => this.#step(event),
    });
    this.shown = make("span", { className: "time" });
    this.speed = choice(SPEEDS, "1");
    this.speed.setAttribute("aria-label", "Speed");
    this.speed.addEventListener("change", () => this.#changeSpeed());
    const controls = make("div", { className: "controls" }, this.playButton, this.slider, this.shown, this.speed);
    this.element = make("div", { className: "player" }, this.#video, this.pictures, this.note, controls);
    new ResizeObserver(() => this.#resize()).observe(this.pictures);
    for (const event of ["play", "pause", "ended"]) {
      this.#video.addEventListener(event, () => this.#showState());
    }
    this.#video.addEventListener("seeked", () => this.#draw());
  }

  get isPlaying() {
    return this.#hasPicture ? !this.#video.paused && !this.#video.ended : this.#started !== null;
  }

  get time() {
    return this.#time;
  }

  ontime(listener) {
    this.#listeners.push(listener);
  }

  // Show a video (its address, or null) of some seconds with views: {title, poses, labelOf(person, time)}.
  // `convert` gives the address of the same video in another form, if the browser does not play this one.
  load({ source, seconds, views, convert }) {
    this.pause();
    this.#loaded += 1;
    this.#seconds = seconds;
    this.#time = 0;
    this.#shownTime = null;
    this.#hasPicture = false;
    this.#listeners = [];
    this.slider.max = String(seconds);
    this.note.hidden = true;
    this.#setViews(views);
    this.#video.removeAttribute("src");
    if (source) this.#open(source, this.#loaded, convert);
    else this.#video.load();
    this.#draw();
  }

  // Exchange the views of the video that is shown.
  #setViews(views) {
    this.#views = views.map((view) => ({ ...view, canvas: make("canvas", { role: "img" }) }));
    for (const view of this.#views) {
      view.canvas.setAttribute("aria-label", view.title ? `Skeletons: ${view.title}` : "The clip with skeletons");
    }
    this.pictures.replaceChildren(...this.#views.map((view) =>
      make("figure", {}, view.canvas, view.title ? make("figcaption", {}, view.title) : null)));
    this.pictures.dataset.count = String(views.length);
    this.#resize();
  }

  #open(source, number, convert) {
    const isCurrent = () => number === this.#loaded;
    this.#video.onloadeddata = () => {
      if (!isCurrent()) return;
      this.#hasPicture = this.#video.videoWidth > 0;
      this.note.hidden = true;
      this.#changeSpeed();
      this.#video.currentTime = this.#time;
      this.#draw();
    };
    this.#video.onerror = () => {
      if (!isCurrent() || !this.#video.getAttribute("src")) return;
      this.note.textContent = `This browser cannot play the file; the skeletons are shown without it${convert ? " until it is converted …" : "."}`;
      this.note.hidden = false;
      convert?.().then((address) => isCurrent() && this.#open(address, number)).catch((error) => {
        if (isCurrent()) this.note.textContent = `The skeletons are shown without the video: ${error.message}`;
      });
    };
    this.#video.src = source;
    if ("requestVideoFrameCallback" in this.#video) {
      const draw = (_, frame) => {
        if (!isCurrent()) return;
        this.#shownTime = frame.mediaTime;
        if (this.isPlaying) this.#move(frame.mediaTime);
        else this.#draw();
        this.#video.requestVideoFrameCallback(draw);
      };
      this.#video.requestVideoFrameCallback(draw);
    }
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  play() {
    if (this.#time >= this.#seconds - 0.05) this.seek(0);
    if (this.#hasPicture) this.#video.play().catch(() => {});
    else this.#started = [performance.now(), this.#time];
    this.#showState();
    requestAnimationFrame(() => this.#tick());
  }

  pause() {
    this.#video.pause();
    this.#started = null;
    this.#showState();
  }

  seek(seconds) {
    this.#time = Math.max(0, Math.min(seconds, this.#seconds));
    this.#shownTime = null;
    if (this.#hasPicture) this.#video.currentTime = this.#time;
    if (this.#started) this.#started = [performance.now(), this.#time];
    this.#draw();
  }

  #step(event) {
    const direction = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!direction) return;
    event.preventDefault();
    this.pause();
    this.seek(this.#time + direction * STEP);
  }

  #changeSpeed() {
    this.#video.playbackRate = Number(this.speed.value);
    if (this.#started) this.#started = [performance.now(), this.#time];
  }

  #tick() {
    if (!this.isPlaying || !this.element.isConnected) return this.pause();
    if (this.#started) {
      const [since, from] = this.#started;
      this.#move(from + ((performance.now() - since) / 1000) * Number(this.speed.value));
      if (this.#time >= this.#seconds) return this.pause();
    } else if (!("requestVideoFrameCallback" in this.#video)) {
      this.#move(this.#video.currentTime);
    }
    requestAnimationFrame(() => this.#tick());
  }

  #move(seconds) {
    this.#time = Math.min(seconds, this.#seconds);
    this.#draw();
  }

  #showState() {
    this.playButton.textContent = this.isPlaying ? "❚❚" : "▶";
    this.playButton.setAttribute("aria-label", this.isPlaying ? "Pause" : "Play");
  }

  #resize() {
    for (const { canvas, poses } of this.#views) {
      const [width, height] = poses.size;
      const room = canvas.parentElement.clientWidth;
      if (!room) continue;
      const most = Math.min(room, (innerHeight * 0.62 * width) / height);
      canvas.style.width = `${Math.round(most)}px`;
      canvas.width = Math.round(most * devicePixelRatio);
      canvas.height = Math.round((most * devicePixelRatio * height) / width);
    }
    this.#draw();
  }

  #draw() {
    for (const { canvas, poses, labelOf } of this.#views) {
      const context = canvas.getContext("2d");
      context.fillStyle = "#22262b";
      context.fillRect(0, 0, canvas.width, canvas.height);
      if (this.#hasPicture) context.drawImage(this.#video, 0, 0, canvas.width, canvas.height);
      const people = peopleAt(poses, this.#shownTime ?? this.#time);
      const label = (person) => labelOf?.(person, this.#time) ?? "";
      drawPeople(context, poses, people, this.colours, canvas.width / poses.size[0], label);
    }
    this.slider.value = String(this.#time);
    this.slider.setAttribute("aria-valuetext", `${this.#time.toFixed(1)} of ${this.#seconds.toFixed(1)} seconds`);
    this.shown.textContent = `${clock(this.#time)} / ${clock(this.#seconds)}`;
    for (const listener of this.#listeners) listener(this.#time);
  }
}
