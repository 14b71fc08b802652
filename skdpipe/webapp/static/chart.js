// The probabilities of windows over time, one line for each of the most probable classes.

import { choice, field, make, rgb } from "./dom.js";
import { nameOf } from "./timeline.js";

const LINES = 6;
const SVG = "http://www.w3.org/2000/svg";

export function chart(result, seek) {
  const people = [...new Set(result.windows.map((each) => each[2]))];
  const element = make("div", { className: "chart" });
  let shown = null;
  const choose = (person) => {
    shown = lines(result, result.windows.filter((each) => each[2] === person), seek);
    body.replaceChildren(shown.element);
  };
  const body = make("div");
  if (people.length > 1) {
    const select = choice(people.map((each) => [String(each), nameOf(each)]));
    select.addEventListener("change", () => choose(people[select.selectedIndex]));
    element.append(field("Probabilities of", select));
  }
  element.append(body);
  choose(people[0]);
  return { element, show: (seconds) => shown.show(seconds) };
}

function lines(result, windows, seek) {
  const highest = result.classes.map((_, index) => Math.max(...windows.map((each) => each[3][index])));
  const chosen = result.classes.map((_, index) => index).sort((one, other) => highest[other] - highest[one]);
  chosen.length = Math.min(LINES, chosen.length);
  const svg = draw("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img" });
  svg.setAttribute("aria-label", `Probabilities over time of ${chosen.map((index) => result.classes[index]).join(", ")}`);
  for (const share of [0, 0.5, 1]) {
    svg.append(draw("line", { x1: 0, x2: 1000, y1: 100 - 100 * share, y2: 100 - 100 * share, class: "grid" }));
  }
  const parts = withoutGaps(windows);
  for (const index of chosen) {
    const path = parts.map((part) => {
      const points = part.map(([start, end, , shares]) =>
        `${((1000 * (start + end)) / 2 / result.seconds).toFixed(1)},${(100 - 100 * shares[index]).toFixed(1)}`);
      return `M${points.join(" ")}${points.length === 1 ? "h4" : ""}`;
    });
    const line = draw("path", { d: path.join(""), class: "line" });
    line.style.setProperty("--ink", rgb(result.colours[result.classes[index]]));
    svg.append(line);
  }
  const head = make("div", { className: "playhead" });
  const track = make("div", {
    className: "track",
    onclick: (event) => {
      const box = track.getBoundingClientRect();
      seek(((event.clientX - box.left) / box.width) * result.seconds);
    },
  }, svg, head);
  const values = chosen.map(() => make("span", { className: "value" }));
  const legend = make("ul", { className: "legend" }, ...chosen.map((index, row) => {
    const mark = make("span", { className: "mark" });
    mark.style.setProperty("--ink", rgb(result.colours[result.classes[index]]));
    return make("li", {}, mark, make("span", {}, result.classes[index]), values[row]);
  }));
  const show = (seconds) => {
    head.style.left = `${(100 * seconds) / result.seconds}%`;
    const window = nearest(windows, seconds);
    chosen.forEach((index, row) => {
      values[row].textContent = window ? window[3][index].toFixed(2) : "";
    });
  };
  const scale = make("span", { className: "who scale", "aria-hidden": "true" }, make("span", {}, "1"), make("span", {}, "0"));
  return { element: make("div", {}, make("div", { className: "row" }, scale, track), legend), show };
}

// The windows in parts of regular steps: in between, too little was seen.
function withoutGaps(windows) {
  const steps = windows.slice(1).map((each, index) => each[0] - windows[index][0]).sort((one, other) => one - other);
  const longest = 1.5 * (steps[Math.floor(steps.length / 2)] ?? 0);
  const parts = [];
  windows.forEach((each, index) => {
    if (index === 0 || each[0] - windows[index - 1][0] > longest) parts.push([]);
    parts.at(-1).push(each);
  });
  return parts;
}

// The window around a time whose centre is nearest.
function nearest(windows, seconds) {
  let best = null, least = Infinity;
  for (const each of windows) {
    const distance = Math.abs((each[0] + each[1]) / 2 - seconds);
    if (distance < least && each[0] <= seconds && seconds <= each[1]) [best, least] = [each, distance];
  }
  return best;
}

function draw(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
