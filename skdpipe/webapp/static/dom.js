// Elements of the page. Text is always set as text: names from data never become markup.

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function button(text, onclick, properties = {}) {
  return make("button", { type: "button", onclick, ...properties }, text);
}

export function field(label, control) {
  return make("label", { className: "field" }, make("span", {}, label), control);
}

export function choice(names, selected = "") {
  const options = names.map((each) => {
    const [value, text] = Array.isArray(each) ? each : [each, each];
    return make("option", { value, selected: value === selected }, text);
  });
  return make("select", {}, ...options);
}

export function table(headings, rows, caption) {
  const head = make("tr", {}, ...headings.map((each) => make("th", { scope: "col" }, each)));
  const title = make("caption", { className: "hidden" }, caption);
  return make("div", { className: "scroll" },
    make("table", {}, title, make("thead", {}, head), make("tbody", {}, ...rows)));
}

export function cells(...contents) {
  return contents.map((each) => make("td", { className: /^[\d:.,[\] –]+$/.test(each.textContent ?? each) ? "number" : "" }, each));
}

export function clock(seconds) {
  const tenths = Math.max(0, Math.round(seconds * 10));
  const rest = (tenths % 600) / 10;
  return `${Math.floor(tenths / 600)}:${rest.toFixed(1).padStart(4, "0")}`;
}

export function rgb(colour) {
  return `rgb(${colour.join(" ")})`;
}

const problem = document.getElementById("problem");
problem.querySelector("button").addEventListener("click", () => hideProblem());

export function showProblem(error) {
  if (error?.name === "AbortError") return;
  problem.querySelector("span").textContent = String(error?.message ?? error);
  problem.hidden = false;
}

export function hideProblem() {
  problem.hidden = true;
}
