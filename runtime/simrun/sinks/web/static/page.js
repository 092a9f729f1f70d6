"use strict";
// Readings, graph and counts from the server's events. The picture is an image that shows itself,
// with heatmap and quads drawn into it by the server: see mjpeg.py.

const STAGES = ["capture", "preprocess", "infer", "regions", "classify"];
const HISTORY = 150;
const MOST_READINGS = 40;
const REDRAW_MS = 120;
const RETRY_MS = 3000;

const at = (id) => document.getElementById(id);
const latencies = [];
let newest = null;
let status = null;
let events = null;
let pictureLost = false;
let pictureFailed = false;
let drawn = 0;
let planned = false;

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// --- the picture ---

function viewQuery() {
  const form = at("view");
  return `heat=${form.heat.checked ? 1 : 0}&quads=${form.quads.checked ? 1 : 0}`;
}

function showPicture() {
  pictureLost = false;
  const query = viewQuery();
  at("snapshot").href = `/snapshot.jpg?${query}`;
  // The last part makes it another address, so that a stream that ended is asked for again.
  at("picture").src = `/stream.mjpg?${query}&at=${Date.now()}`;
}

function remember() {
  history.replaceState(null, "", `/?view=1&${viewQuery()}`);
}

// --- readings ---

function percent(score) {
  return `${Math.round(score * 100)} %`;
}

function readingOf(region) {
  const item = make("li", region.held ? "held" : "");
  item.append(make("span", region.label === null ? "label unread" : "label", region.label ?? "not read"));
  const scores = [`score ${percent(region.score)}`];
  if (region.label_score !== null) scores.unshift(`read ${percent(region.label_score)}`);
  if (region.track !== null) scores.unshift(`#${region.track}`);
  if (region.held) scores.push("held");
  item.append(make("span", "scores", scores.join(" · ")));
  return item;
}

function drawReadings() {
  if (newest === null) return;
  // Top to bottom, so that a line keeps its place while its score changes.
  const regions = [...newest.regions].sort((a, b) => a.box[1] - b.box[1] || a.box[0] - b.box[0]);
  const items = regions.slice(0, MOST_READINGS).map(readingOf);
  if (regions.length > MOST_READINGS) items.push(make("li", "none", `and ${regions.length - MOST_READINGS} more`));
  if (items.length === 0) items.push(make("li", "none", "No text in view"));
  at("readings").replaceChildren(...items);
  at("count").textContent = `${regions.length} in frame ${newest.frame}`;
}

// --- latency ---

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

function roundedUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value) * power;
}

function area(lower, upper, top) {
  const x = (i) => ((600 * (i + HISTORY - upper.length)) / (HISTORY - 1)).toFixed(1);
  const y = (value) => (170 - (170 * Math.min(value, top)) / top).toFixed(1);
  const there = upper.map((value, i) => `${x(i)},${y(value)}`);
  const back = lower.map((value, i) => `${x(i)},${y(value)}`).reverse();
  return `M${there.concat(back).join("L")}Z`;
}

function shape(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function drawGraph() {
  if (latencies.length < 2) return;
  const totals = latencies.map((one) => STAGES.reduce((sum, stage) => sum + one[stage], 0));
  // One slow frame in a hundred must not flatten all others: it is cut off at the top.
  const top = roundedUp(Math.max(quantile([...totals].sort((a, b) => a - b), 0.98) * 1.15, 1));
  const shapes = [];
  let lower = latencies.map(() => 0);
  for (const stage of STAGES) {
    const upper = latencies.map((one, i) => lower[i] + one[stage]);
    shapes.push(shape("path", { class: stage, d: area(lower, upper, top) }));
    lower = upper;
  }
  for (const share of [0.25, 0.5, 0.75]) {
    shapes.push(shape("line", { x1: 0, x2: 600, y1: 170 * (1 - share), y2: 170 * (1 - share) }));
  }
  at("graph").replaceChildren(...shapes);
  for (const [id, share] of [["low", 0.25], ["middle", 0.5], ["high", 0.75]]) {
    at(id).textContent = String(+(top * share).toFixed(2));
  }
}

function drawStages() {
  if (latencies.length === 0) return;
  const rows = [...STAGES, "total"].map((stage) => {
    const values = latencies.map((one) => one[stage]);
    const sorted = [...values].sort((a, b) => a - b);
    const row = make("tr");
    const name = make("th");
    name.scope = "row";
    if (stage !== "total") name.append(make("span", `key ${stage}`));
    name.append(stage);
    row.append(name);
    for (const value of [values[values.length - 1], quantile(sorted, 0.5), quantile(sorted, 0.95)]) {
      row.append(make("td", "", value.toFixed(value < 10 ? 2 : 1)));
    }
    return row;
  });
  at("stages").replaceChildren(...rows);
}

// --- state and counts ---

function duration(seconds) {
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

function drawState() {
  const state = at("state");
  const stage = at("stage");
  state.classList.remove("good", "bad");
  stage.classList.toggle("stale", status !== null && status.stale);
  stage.classList.toggle("failed", pictureFailed);
  if (status === null) {
    state.textContent = "not connected";
    state.classList.add("bad");
  } else if (status.stale) {
    const since = duration(status.age_s ?? status.uptime_s);
    state.textContent = `no frame for ${since}`;
    // Why, where the source knows: unplugged, busy, no permission.
    at("notice").textContent = status.source?.error ?? `No frame for ${since}`;
    state.classList.add("bad");
  } else if (status.frames === 0) {
    state.textContent = "waiting";
    at("notice").textContent = status.source?.error ?? "Waiting for the first frame";
  } else {
    state.textContent = `${status.rate.toFixed(1)} frames/s`;
    at("notice").textContent = "";
    state.classList.add("good");
  }
  if (pictureFailed) at("notice").textContent = "No picture: no connection, or too many are watching";
}

function drawCounts() {
  if (status === null) return;
  const counts = [["Processed", status.frames], ["Regions", status.regions]];
  const source = status.source;
  if (source !== null) {
    counts.unshift(["Captured", source.captured]);
    counts.push(["Skipped", source.skipped], ["Stalls", source.stalls], ["Reconnects", source.reconnects]);
    counts.push(["Bad", source.bad + status.bad], ["Source", source.state]);
  } else {
    counts.push(["Unreadable", status.bad]);
  }
  if (status.outputs_down.length) counts.push(["Outputs down", status.outputs_down.join(", ")]);
  counts.push(["Running", duration(status.uptime_s)]);
  const pairs = counts.map(([name, value]) => {
    const pair = make("div");
    pair.append(make("dt", "", name), make("dd", "", typeof value === "number" ? value.toLocaleString("en") : value));
    return pair;
  });
  at("counts").replaceChildren(...pairs);
}

function setPictureFailed(failed) {
  if (failed === pictureFailed) return;
  pictureFailed = failed;
  drawState();
}

// --- events ---

function draw() {
  planned = false;
  drawn = performance.now();
  drawReadings();
  drawGraph();
  drawStages();
}

function planDraw() {
  if (planned) return;
  planned = true;
  // Numbers that change with every frame cannot be read.
  setTimeout(() => requestAnimationFrame(draw), Math.max(0, drawn + REDRAW_MS - performance.now()));
}

function takeLatency(one) {
  latencies.push(one);
  if (latencies.length > HISTORY) latencies.shift();
}

function connect() {
  events = new EventSource("/events");
  events.addEventListener("hello", (event) => {
    latencies.length = 0;
    JSON.parse(event.data).latencies_ms.forEach(takeLatency);
    if (pictureLost) showPicture();
    planDraw();
  });
  events.addEventListener("result", (event) => {
    newest = JSON.parse(event.data);
    takeLatency(newest.latency_ms);
    planDraw();
  });
  events.addEventListener("status", (event) => {
    status = JSON.parse(event.data);
    drawState();
    drawCounts();
  });
  events.addEventListener("error", () => {
    status = null;
    pictureLost = true;
    drawState();
    // After an answer other than 200 the browser does not try again by itself.
    if (events.readyState === EventSource.CLOSED && !document.hidden) setTimeout(reconnect, RETRY_MS);
  });
}

function disconnect() {
  events.close();
  at("picture").removeAttribute("src");
  pictureLost = true;
}

function reconnect() {
  events.close();
  if (!document.hidden) connect();
}

at("view").addEventListener("change", () => {
  showPicture();
  remember();
});
at("picture").addEventListener("load", () => setPictureFailed(false));
at("picture").addEventListener("error", () => {
  if (document.hidden || !at("picture").hasAttribute("src")) return;
  setPictureFailed(true);
  setTimeout(showPicture, RETRY_MS);
});
// A page that nobody sees costs the small computer nothing.
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : reconnect()));
document.documentElement.classList.add("scripted");
connect();
