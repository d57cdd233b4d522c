"use strict";
// Draws the report's curves and lets its rollouts be browsed. Whatever a run wrote reaches the page as text, never as markup.

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "style") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

// --- curves ---------------------------------------------------------------------------------------------------------

const number = (value, percent) => percent ? `${(100 * value).toFixed(1)} %`
  : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(4));

// Round values for about `count` lines of the grid between low and high.
function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) || power;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(+at.toPrecision(12));
  return found;
}

// The place of the last element that is not above value, or 0.
function placeOf(sorted, value) {
  let low = 0, high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (sorted[middle] <= value) low = middle; else high = middle - 1;
  }
  return low;
}

// Of more points than pixels, the lowest and the highest of each column keep every spike.
function thinned(steps, values, columns) {
  if (steps.length <= 2 * columns) return steps.map((step, at) => [step, values[at]]);
  const points = [];
  for (let column = 0; column < columns; column++) {
    const from = Math.floor(column * steps.length / columns), to = Math.floor((column + 1) * steps.length / columns);
    let low = from, high = from;
    for (let at = from; at < to; at++) {
      if (values[at] < values[low]) low = at;
      if (values[at] > values[high]) high = at;
    }
    for (const at of low < high ? [low, high] : high < low ? [high, low] : [low]) points.push([steps[at], values[at]]);
  }
  return points;
}

function smoothed(values) {
  const half = Math.max(1, Math.floor(values.length / 40));
  const sums = [0];
  for (const value of values) sums.push(sums[sums.length - 1] + value);
  return values.map((_, at) => {
    const from = Math.max(0, at - half), to = Math.min(values.length, at + half + 1);
    return (sums[to] - sums[from]) / (to - from);
  });
}

// Of stacked parts each lies on the ones before it; where a run has many steps, neighbours are averaged.
function stack(lines, columns) {
  const steps = lines[0].steps, size = Math.ceil(steps.length / columns);
  const chunks = Array.from({length: Math.ceil(steps.length / size)}, (_, at) => [at * size, Math.min(steps.length, (at + 1) * size)]);
  const base = chunks.map(() => 0);
  return lines.map((line) => ({line, bars: chunks.map(([from, to], at) => {
    let sum = 0;
    for (let each = from; each < to; each++) sum += line.values[each];
    const low = base[at];
    base[at] += sum / (to - from);
    return [steps[from] - 0.5, steps[to - 1] + 0.5, low, base[at]];
  })}));
}

function draw(holder, chart, resumes) {
  const width = holder.clientWidth, height = parseFloat(getComputedStyle(holder).minHeight) - 22;
  if (!width || !chart.lines.length) return;
  const left = 44, right = chart.lines.some((line) => line.strong) ? 48 : 12, top = 8, bottom = 20;
  const strips = chart.stacked ? stack(chart.lines, Math.min(120, Math.floor(width / 8))) : [];
  let first = Infinity, last = -Infinity, low = Infinity, high = -Infinity;
  for (const line of chart.lines) {
    first = Math.min(first, line.steps[0]);
    last = Math.max(last, line.steps[line.steps.length - 1]);
    if (!chart.stacked) for (const value of line.values) { low = Math.min(low, value); high = Math.max(high, value); }
  }
  for (const {bars} of strips) for (const bar of bars) { low = 0; high = Math.max(high, bar[3]); }
  if (chart.stacked) { first -= 0.5; last += 0.5; }
  if (chart.limit !== null) { low = 0; high = Math.max(high, 1.15 * chart.limit); }
  if (chart.percent) { low = Math.min(low, 0); if (chart.wide) high = Math.max(high, 1); else high = Math.max(high, 0.1); }
  if (first === last) { first -= 0.5; last += 0.5; }
  const room = (high - low) * 0.05 || Math.abs(high) * 0.1 || 1;
  if (!chart.stacked && !(chart.percent || chart.limit !== null)) low -= room;
  high += room;
  const x = (step) => left + (step - first) / (last - first) * (width - left - right);
  const y = (value) => height - bottom - (value - low) / (high - low) * (height - top - bottom);
  const svg = shape("svg", {viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true"});
  for (const value of ticks(low, high, 4)) {
    svg.append(shape("line", {class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value)}),
      shape("text", {x: left - 6, y: y(value) + 4, "text-anchor": "end"}, chart.percent ? `${Math.round(100 * value)} %` : number(value)));
  }
  for (const step of ticks(first, last, Math.max(2, width / 90)).filter(Number.isInteger))
    svg.append(shape("text", {x: x(step), y: height - 4, "text-anchor": "middle"}, step.toLocaleString("en")));
  for (const step of resumes) if (step > first && step < last)
    svg.append(shape("line", {class: "resume", x1: x(step - 0.5), x2: x(step - 0.5), y1: top, y2: height - bottom}));
  if (chart.limit !== null)
    svg.append(shape("line", {class: "limit", x1: left, x2: width - right, y1: y(chart.limit), y2: y(chart.limit)}));
  for (const {line, bars} of strips) {
    const path = bars.map(([from, to, under, over]) => `M${x(from).toFixed(1)} ${y(under).toFixed(1)}V${y(over).toFixed(1)}H${x(to).toFixed(1)}V${y(under).toFixed(1)}Z`);
    svg.append(shape("path", {d: path.join(""), style: `fill:var(--${line.colour})`}));
  }
  const path = (points) => points.map(([step, value], at) => `${at ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  if (!chart.stacked) for (const line of chart.lines) {
    const columns = width - left - right, many = line.steps.length > 80 && !line.strong;
    const style = `fill:none;stroke-linejoin:round;stroke:var(--${line.colour})`;
    // A long run is noise around a trend: the points stay visible, the running mean carries the eye.
    svg.append(shape("path", {d: path(thinned(line.steps, line.values, columns)), style: `${style};stroke-width:${line.strong ? 2.4 : many ? 0.8 : 1.6};opacity:${many ? 0.35 : 1}`}));
    if (many) svg.append(shape("path", {d: path(thinned(line.steps, smoothed(line.values), columns / 2)), style: `${style};stroke-width:1.6`}));
    if (line.steps.length <= 40) for (const [at, step] of line.steps.entries())
      svg.append(shape("circle", {cx: x(step), cy: y(line.values[at]), r: line.strong ? 3.2 : 2.2, style: `fill:var(--${line.colour})`}));
    if (line.strong) {
      const at = line.steps.length - 1;
      svg.append(shape("text", {x: x(line.steps[at]) + 7, y: y(line.values[at]) + 4, style: `fill:var(--${line.colour});font-weight:650`}, number(line.values[at], chart.percent)));
      if (at) svg.append(shape("text", {x: x(line.steps[0]) + 2, y: y(line.values[0]) - 8, style: `fill:var(--${line.colour});font-weight:650`}, number(line.values[0], chart.percent)));
    }
  }
  const cursor = shape("line", {class: "cursor", y1: top, y2: height - bottom});
  svg.append(cursor);
  const tip = element("div", {className: "tip"});
  const legend = element("div", {className: "legend"}, ...chart.lines.map((line) =>
    element("span", {}, element("i", {style: `background:var(--${line.colour})`}), line.label)));
  if (chart.limit !== null) legend.append(element("span", {}, element("i", {style: "background:var(--red)"}), `limit ${chart.limit}`));
  const plot = element("div", {style: `position:relative;height:${height}px`}, svg, tip);
  holder.replaceChildren(plot, legend);
  plot.onpointermove = (event) => {
    const inside = event.clientX - plot.getBoundingClientRect().left;
    const step = Math.round(first + (inside - left) / (width - left - right) * (last - first));
    const longest = chart.lines.reduce((one, other) => other.steps.length > one.steps.length ? other : one);
    const at = placeOf(longest.steps, step);
    const nearest = at + 1 < longest.steps.length && longest.steps[at + 1] - step < step - longest.steps[at] ? longest.steps[at + 1] : longest.steps[at];
    const rows = [element("b", {}, `step ${nearest.toLocaleString("en")}`)];
    for (const line of chart.lines) {
      const place = placeOf(line.steps, nearest);
      if (line.steps[place] > nearest) continue;
      const old = line.steps[place] < nearest ? ` (step ${line.steps[place].toLocaleString("en")})` : "";
      rows.push(element("div", {}, element("i", {style: `display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:6px;background:var(--${line.colour})`}), `${number(line.values[place], chart.percent)}  ${line.label}${old}`));
    }
    tip.replaceChildren(...rows);
    const where = x(nearest);
    cursor.setAttribute("x1", where);
    cursor.setAttribute("x2", where);
    cursor.style.visibility = tip.style.visibility = "visible";
    tip.style.left = `${Math.max(0, where + tip.offsetWidth + 14 > width ? where - tip.offsetWidth - 10 : where + 10)}px`;
    tip.style.top = "4px";
  };
  plot.onpointerleave = () => { cursor.style.visibility = tip.style.visibility = "hidden"; };
}

function drawAll() {
  for (const holder of document.querySelectorAll("[data-chart]")) {
    const chart = report.charts[holder.dataset.chart];
    if (chart) draw(holder, chart, report.resumes);
  }
}

// --- rollouts -------------------------------------------------------------------------------------------------------

const SHOWN = 100;
let report = null, found = [], shown = SHOWN, chosen = null, live = null;

function prepare(rollouts) {
  const groups = rollouts.step.length, answers = rollouts.score.length;
  rollouts.score = Float32Array.from(rollouts.score);
  rollouts.length = Int32Array.from(rollouts.length);
  rollouts.end = (group) => group + 1 < groups ? rollouts.first[group + 1] : answers;
  rollouts.text = new Map(rollouts.textOf.map((answer, at) => [answer, rollouts.texts[at]]));
  rollouts.low = rollouts.high = answers ? rollouts.score[0] : 0;
  for (const score of rollouts.score) {
    if (score < rollouts.low) rollouts.low = score;
    if (score > rollouts.high) rollouts.high = score;
  }
  rollouts.mean = new Float32Array(groups);
  rollouts.longest = new Int32Array(groups);
  rollouts.groupsOf = new Map();
  for (let group = 0; group < groups; group++) {
    let sum = 0;
    for (let answer = rollouts.first[group]; answer < rollouts.end(group); answer++) {
      sum += rollouts.score[answer];
      rollouts.longest[group] = Math.max(rollouts.longest[group], rollouts.length[answer]);
    }
    rollouts.mean[group] = sum / (rollouts.end(group) - rollouts.first[group]);
    const same = rollouts.groupsOf.get(rollouts.prompt[group]);
    if (same) same.push(group); else rollouts.groupsOf.set(rollouts.prompt[group], [group]);
  }
  rollouts.promptFindable = null;
  setTimeout(() => makeFindable(rollouts), 300); // when the page has been shown
}

// Lower case once, not at each key that is pressed.
function makeFindable(rollouts) {
  if (rollouts.promptFindable) return;
  rollouts.promptFindable = rollouts.prompts.map((prompt) => prompt.toLowerCase());
  rollouts.findable = new Map();
  for (const [answer, text] of rollouts.text) rollouts.findable.set(answer, text.toLowerCase());
}

function wanted() {
  const form = byId("filters").elements;
  const value = (name, otherwise) => form[name].value === "" ? otherwise : +form[name].value;
  return {
    step0: value("step0", -Infinity), step1: value("step1", Infinity), score0: value("score0", -Infinity), score1: value("score1", Infinity),
    length0: value("length0", -Infinity), length1: value("length1", Infinity), cut: Boolean(form.cut && form.cut.checked), mixed: form.mixed.checked,
    text: form.text.value.toLowerCase(), order: form.order.value,
  };
}

function matches(rollouts, answer, filter) {
  const score = rollouts.score[answer], length = rollouts.length[answer];
  return score >= filter.score0 && score <= filter.score1 && length >= filter.length0 && length <= filter.length1
    && (!filter.cut || length >= rollouts.limit);
}

// The groups with an answer that has everything that is asked for.
function search(rollouts, filter) {
  const groups = [];
  if (filter.text) makeFindable(rollouts);
  const prompts = filter.text ? rollouts.promptFindable.map((prompt) => prompt.includes(filter.text)) : null;
  for (let group = 0; group < rollouts.step.length; group++) {
    if (rollouts.step[group] < filter.step0 || rollouts.step[group] > filter.step1) continue;
    const from = rollouts.first[group], to = rollouts.end(group);
    if (filter.mixed) {
      let mixed = false;
      for (let answer = from + 1; answer < to && !mixed; answer++) mixed = rollouts.score[answer] !== rollouts.score[from];
      if (!mixed) continue;
    }
    for (let answer = from; answer < to; answer++) {
      if (matches(rollouts, answer, filter) && (!prompts || prompts[rollouts.prompt[group]] || rollouts.findable.get(answer)?.includes(filter.text))) {
        groups.push(group);
        break;
      }
    }
  }
  const keys = {worst: rollouts.mean, best: rollouts.mean, longest: rollouts.longest}[filter.order];
  if (keys) groups.sort((one, other) => (filter.order === "worst" ? keys[one] - keys[other] : keys[other] - keys[one]) || one - other);
  return groups;
}

// From red, the lowest reward of the run, to green, the highest.
function tint(rollouts, score) {
  const share = rollouts.high > rollouts.low ? (score - rollouts.low) / (rollouts.high - rollouts.low) : 0.5;
  return `background:color-mix(in srgb, var(--green) ${Math.round(100 * share)}%, var(--red))`;
}

function filterRollouts() {
  const began = performance.now();
  const rollouts = report.rollouts;
  found = search(rollouts, wanted());
  shown = SHOWN;
  let answers = 0;
  for (const group of found) answers += rollouts.end(group) - rollouts.first[group];
  byId("count").textContent = `${found.length.toLocaleString("en")} of ${rollouts.step.length.toLocaleString("en")} groups, ${answers.toLocaleString("en")} answers`;
  showRows();
  if (found.length && !found.includes(chosen)) choose(found[0]);
  document.documentElement.dataset.filterMs = (performance.now() - began).toFixed(1);
}

// Chat templates begin all prompts with the same words; the question stands at the end.
const ending = (text) => text.length > 160 ? `…${text.slice(-160)}` : text;

function showRows() {
  const rollouts = report.rollouts;
  const rows = found.slice(0, shown).map((group) => {
    const from = rollouts.first[group], to = rollouts.end(group);
    const scores = element("span", {className: "scores"});
    for (let answer = from; answer < to; answer++) {
      const cut = rollouts.limit !== null && rollouts.length[answer] >= rollouts.limit;
      scores.append(element("i", {style: tint(rollouts, rollouts.score[answer]), className: cut ? "cut" : ""}));
    }
    const row = element("button", {className: "row", type: "button"},
      element("span", {className: "line"}, `step ${rollouts.step[group]}`, element("span", {}, `mean ${number(rollouts.mean[group])}, up to ${rollouts.longest[group].toLocaleString("en")} ${rollouts.unit}`)),
      element("span", {className: "prompt", dir: "auto"}, ending(rollouts.prompts[rollouts.prompt[group]])), scores);
    row.dataset.group = group;
    row.onclick = () => choose(group);
    return row;
  });
  if (found.length > shown) rows.push(element("button", {type: "button", onclick: () => { shown += SHOWN; showRows(); }}, `${(found.length - shown).toLocaleString("en")} more`));
  byId("rows").replaceChildren(...rows);
  mark();
}

function mark() {
  for (const row of byId("rows").querySelectorAll(".row")) row.classList.toggle("chosen", +row.dataset.group === chosen);
}

function choose(group) {
  chosen = group;
  mark();
  const rollouts = report.rollouts, filter = wanted();
  const same = rollouts.groupsOf.get(rollouts.prompt[group]);
  const at = same.indexOf(group);
  const steps = element("div", {className: "steps"}, "this prompt at step ");
  const from = Math.max(0, Math.min(at - 6, same.length - 13));
  for (const other of same.slice(from, from + 13)) steps.append(element("button", {type: "button", className: other === group ? "chosen" : "", onclick: () => choose(other)}, String(rollouts.step[other])));
  if (same.length > 13) steps.append(` ${at + 1} of ${same.length} times`);
  const answers = element("div", {className: "answers"});
  let missing = 0;
  for (let answer = rollouts.first[group]; answer < rollouts.end(group); answer++) {
    const text = rollouts.text.get(answer);
    const cut = rollouts.limit !== null && rollouts.length[answer] >= rollouts.limit;
    missing += text === undefined;
    answers.append(element("div", {className: matches(rollouts, answer, filter) ? "" : "missed"},
      element("span", {className: "score"}, element("i", {style: `display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:5px;${tint(rollouts, rollouts.score[answer])}`}), `reward ${number(rollouts.score[answer])} · ${rollouts.length[answer].toLocaleString("en")} ${rollouts.unit} `),
      cut ? element("span", {className: "badge cut"}, "cut off") : "",
      element("pre", {dir: "auto"}, text ?? "")));
  }
  const gold = rollouts.golds[rollouts.prompt[group]];
  byId("group").replaceChildren(
    element("h3", {}, `Step ${rollouts.step[group].toLocaleString("en")}: mean reward ${number(rollouts.mean[group])}`),
    element("p", {className: "muted"}, gold ? `gold answer ${gold}` : "gold answer not recorded"),
    element("pre", {className: "block", dir: "auto"}, rollouts.prompts[rollouts.prompt[group]]), steps,
    missing ? element("p", {className: "muted"}, live ? "fetching the texts …" : `${missing} texts are not in this page; see rollouts/train/${rollouts.step[group]}.jsonl`) : "", answers);
  if (missing && live) fetchTexts(group);
}

// A served page gets the texts that it lacks from the run's folder.
async function fetchTexts(group) {
  const rollouts = report.rollouts, from = rollouts.first[group];
  let number = 0;
  while (group - number > 0 && rollouts.step[group - number - 1] === rollouts.step[group]) number++;
  const answer = await fetch(`${live}/texts?step=${rollouts.step[group]}&group=${number}`);
  if (!answer.ok) return;
  (await answer.json()).forEach((text, at) => rollouts.text.set(from + at, text));
  if (chosen === group) {
    const scroll = scrollY;
    const keep = live;
    live = null;
    choose(group);
    live = keep;
    scrollTo(0, scroll);
  }
}

// --- start, and the served page -------------------------------------------------------------------------------------

function take(data) {
  const first = report === null;
  report = data;
  drawAll();
  if (report.rollouts && byId("filters")) {
    prepare(report.rollouts);
    if (first) {
      const now = () => filterRollouts();
      byId("filters").oninput = now;
      byId("filters").onsubmit = (event) => event.preventDefault();
    }
    filterRollouts();
  }
}

async function poll() {
  let seen = report.version;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 3000));
    try {
      const answer = await fetch(`${live}/data?version=${seen}&charts=${document.querySelectorAll("[data-chart]").length}`);
      if (answer.status !== 200) continue;
      const news = await answer.json();
      seen = news.version;
      if (news.reload) { location.reload(); return; }
      const fresh = new DOMParser().parseFromString(news.html, "text/html");
      for (const old of document.querySelectorAll("[data-live]")) old.replaceChildren(...fresh.getElementById(old.id).childNodes);
      take(await unpack(news.data));
    } catch (error) {
      byId("about").append(" The server does not answer.");
      return;
    }
  }
}

unpack(byId("data").textContent).then((data) => {
  take(data);
  addEventListener("resize", () => requestAnimationFrame(drawAll));
  document.documentElement.dataset.ready = performance.now().toFixed(0);
  if (data.live) { live = data.live; poll(); }
});
