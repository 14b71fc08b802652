// The labels of a clip: rows of segments over time, the table of them, the ranking of a single label.

import { button, cells, clock, make, rgb, table } from "./dom.js";

export function nameOf(person) {
  return person === null ? "All" : `Person ${person}`;
}

export function textOf(segment) {
  return segment.label ?? `(${segment.reason})`;
}

// The segment of a person at a time; that of all together if people are not labelled apart.
export function segmentAt(segments, person, seconds) {
  return segments.find((each) => each.person === person && each.start <= seconds && seconds < each.end);
}

// Rows of segments, one for each person; `seek` is called with the time of a click.
export function timeline(result, seek) {
  const people = [...new Set(result.segments.map((each) => each.person))];
  people.sort((one, other) => (one ?? -1) - (other ?? -1));
  const heads = [];
  const rows = people.map((person) => {
    const head = make("div", { className: "playhead" });
    heads.push(head);
    const own = result.segments.filter((each) => each.person === person);
    const bars = own.map((each) => bar(each, result, seek));
    const track = make("div", {
      className: "track",
      onclick: (event) => {
        const box = track.getBoundingClientRect();
        seek(((event.clientX - box.left) / box.width) * result.seconds);
      },
    }, ...bars, head);
    return make("div", { className: "row", role: "group", "aria-label": nameOf(person) },
      make("span", { className: "who" }, nameOf(person)), track);
  });
  const element = make("div", { className: "timeline" }, ...rows);
  const show = (seconds) => {
    for (const head of heads) head.style.left = `${(100 * seconds) / result.seconds}%`;
  };
  return { element, show };
}

function bar(segment, result, seek) {
  const text = textOf(segment);
  const element = button(text, (event) => {
    event.stopPropagation();
    seek(segment.start);
  }, {
    className: segment.label === null ? "segment none" : "segment",
    title: text,
    "aria-label": `${text}, ${segment.start.toFixed(1)} to ${segment.end.toFixed(1)} seconds${share(segment)}`,
  });
  element.style.left = `${(100 * segment.start) / result.seconds}%`;
  element.style.width = `${(100 * (segment.end - segment.start)) / result.seconds}%`;
  if (segment.label !== null) element.style.backgroundColor = rgb(result.colours[segment.label]);
  return element;
}

function share(segment) {
  return segment.label === null ? "" : `, probability ${segment.probability.toFixed(2)}`;
}

export function segmentTable(result, seek) {
  const rows = result.segments.map((each) => make("tr", {}, ...cells(
    button(clock(each.start), () => seek(each.start), { className: "link", "aria-label": `Go to ${clock(each.start)}` }),
    clock(each.end),
    each.person === null ? "All" : String(each.person),
    textOf(each),
    each.label === null ? "" : each.probability.toFixed(2),
  )));
  const element = table(["Start", "End", "Person", "Label", "Probability"], rows, "Labels over time");
  const show = (seconds) => result.segments.forEach((each, index) => {
    rows[index].classList.toggle("now", each.start <= seconds && seconds < each.end);
  });
  return { element, show };
}

export function ranking(result) {
  const rows = result.ranking.map(([name, probability]) => {
    const meter = make("span", { className: "share" });
    meter.style.width = `${100 * probability}%`;
    meter.style.setProperty("--ink", rgb(result.colours[name]));
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", { className: "wide" }, meter),
      make("td", {}, probability.toFixed(3)));
  });
  return table(["Class", "", "Probability"], rows, "Classes by probability");
}
