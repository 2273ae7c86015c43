"use strict";

// Shows the server-sent events. docs/reference/dashboard.md describes the fields.

const HISTORY_SECONDS = 60;
const RETRY_MS = 1000;
const HANDS_MS = 250; // between two messages of hands that do not move
const SETTLED_MS = 500; // after a change here, until the slider follows the server again
const CONNECTION = {
  "none": "waiting for the simulator",
  "driving": "the model drives",
  "handed over": "handed over: drive with the keys",
  "key held": "a driving key is held",
  "silent": "the simulator is silent: is it paused?",
  "lost": "drive.py does not answer",
  "full": "too many pages are open: close one",
};
const GONE = ["lost", "full"];

let state = null;
let points = []; // the history that the plots show
let drawnFrame = -1;
let drawnMask = -1;
let cameraImage = null;
let maskImage = null;
let touched = -Infinity; // when a control was last changed here, or its change was answered
let shownWarnings = [];

// -- the camera

function decode(type, base64) {
  const image = new Image();
  image.src = `data:image/${type};base64,${base64}`;
  return image.decode().then(() => image);
}

async function showFrame(frame, mask) {
  if (!frame.jpeg) cameraImage = null; // the car has left
  if (frame.number !== drawnFrame && frame.jpeg) {
    drawnFrame = frame.number;
    // the warnings tell of a frame that cannot be decoded
    cameraImage = await decode("jpeg", frame.jpeg).catch(() => cameraImage);
  }
  if (!mask.png) {
    maskImage = null;
    drawnMask = -1;
  } else if (mask.frame !== drawnMask) {
    drawnMask = mask.frame;
    const image = await decode("png", mask.png).catch(() => null);
    if (drawnMask === mask.frame) maskImage = image; // unless it has been replaced or switched off meanwhile
  }
  drawCamera();
}

function drawCamera() {
  const canvas = element("frame");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!cameraImage) return;
  context.drawImage(cameraImage, 0, 0, canvas.width, canvas.height);
  if (maskImage) context.drawImage(maskImage, 0, 0, canvas.width, canvas.height);
  const [left, top, right, bottom] = state.region;
  const x = left * canvas.width, y = top * canvas.height;
  const width = (right - left) * canvas.width, height = (bottom - top) * canvas.height;
  context.fillStyle = "rgba(8, 12, 16, .45)";
  context.fillRect(0, 0, canvas.width, y);
  context.fillRect(0, y + height, canvas.width, canvas.height - y - height);
  context.fillRect(0, y, x, height);
  context.fillRect(x + width, y, canvas.width - x - width, height);
  context.strokeStyle = colors.model;
  context.strokeRect(x + .5, y + .5, width - 1, height - 1);
}

// -- the dial and the plots

function showDial() {
  const canvas = element("dial");
  drawDial(canvas, state.steering_sent, state.steering_model);
  const words = `sent ${fixed(state.steering_sent, 2)}, model ${fixed(state.steering_model, 2)}`;
  canvas.setAttribute("aria-label", `steering, −1 left to 1 right: ${state.steering_sent === null ? "nothing sent" : words}`);
}

// lines: [field of the history, colour, width] each.
function drawPlot(id, lines, low, high) {
  const { context, width, height } = wipe(element(id));
  const margin = 34, foot = 20, newest = state.seconds;
  const x = (seconds) => margin + (width - margin) * (1 - (newest - seconds) / HISTORY_SECONDS);
  const y = (value) => 6 + (height - 6 - foot) * (1 - (Math.min(Math.max(value, low), high) - low) / (high - low));
  context.textAlign = "right";
  context.lineWidth = 1;
  for (const mark of [low, (low + high) / 2, high]) {
    context.strokeStyle = colors.line;
    context.beginPath();
    context.moveTo(margin, y(mark));
    context.lineTo(width, y(mark));
    context.stroke();
    context.fillStyle = colors.quiet;
    context.fillText(String(Number(mark.toFixed(1))).replace("-", "−"), margin - 6, y(mark) + 4);
  }
  context.fillText("now", width, height - 3);
  context.textAlign = "left";
  context.fillText(`${HISTORY_SECONDS} s ago`, margin, height - 3);
  context.lineJoin = "round";
  for (const [name, style, lineWidth] of lines) {
    context.strokeStyle = style;
    context.lineWidth = lineWidth;
    context.beginPath();
    let last = null;
    for (const point of points) {
      const value = point[name];
      if (value === null) { last = null; continue; }
      if (last === null || point.seconds - last > 1) context.moveTo(x(point.seconds), y(value));
      else context.lineTo(x(point.seconds), y(value));
      last = point.seconds;
    }
    context.stroke();
  }
}

function roundUp(value) {
  return [1, 2, 5, 10, 20, 30, 40, 50, 60, 100, 200, 500, 1000].find((step) => step >= value) || value;
}

function drawPlots() {
  const highest = (...names) => Math.max(1, ...points.flatMap((point) => names.map((name) => point[name])));
  const widest = Math.max(.2, ...points.flatMap((p) => [Math.abs(p.steering_model), Math.abs(p.steering_sent)]));
  const reach = [.2, .5, 1].find((step) => step >= widest) || 1;
  drawPlot("plot-steering", [["steering_sent", colors.sent, 4], ["steering_model", colors.model, 1.5]], -reach, reach);
  const fastest = roundUp(highest("speed_mph", "set_speed_mph"));
  drawPlot("plot-speed", [["set_speed_mph", colors.sent, 1], ["speed_mph", colors.text, 1.5]], 0, fastest);
  drawPlot("plot-throttle", [["throttle", colors.text, 1.5]], -1, 1);
  drawPlot("plot-latency", [["latency_ms", colors.text, 1.5]], 0, roundUp(highest("latency_ms")));
}

function remember() {
  if (state.steering_sent !== null && state.connection === "driving") {
    points.push({
      seconds: state.seconds, speed_mph: state.speed_mph, set_speed_mph: state.target_speed_mph,
      steering_model: state.steering_model, steering_sent: state.steering_sent, throttle: state.throttle,
      latency_ms: state.latency_ms.last || 0,
    });
  }
  points = points.filter((point) => point.seconds > state.seconds - HISTORY_SECONDS);
}

// -- figures and texts

function showFigures() {
  const latency = state.latency_ms;
  write("steering-model", fixed(state.steering_model, 3));
  write("steering-sent", fixed(state.steering_sent, 3));
  write("steering-degrees", state.steering_degrees === null ? "–" : `${fixed(state.steering_degrees, 1)}°`);
  write("speed", fixed(state.speed_mph, 1));
  write("target", fixed(state.target_speed_mph === null ? state.set_speed_mph : state.target_speed_mph, 1));
  write("throttle", fixed(state.throttle, 2));
  write("latency", fixed(latency.last, 1));
  write("p50", fixed(latency.last === null ? null : latency.p50, 1));
  write("p99", fixed(latency.last === null ? null : latency.p99, 1));
  write("frames", state.frames.toLocaleString("en"));
  write("rate", fixed(state.frames_per_second, 1));
  write("faults", String(state.faults));
  showUncertainty();
  write("slow", latency.limit > 0 ? `${latency.slow} over ${latency.limit} ms` : "");
}

function showUncertainty() {
  const uncertainty = state.uncertainty;
  element("uncertainty").hidden = uncertainty === null;
  if (uncertainty === null) return;
  element("uncertainty").classList.toggle("uncertain", uncertainty.uncertain);
  const percent = Math.round(100 * uncertainty.average / uncertainty.threshold);
  write("uncertainty-text", uncertainty.uncertain ? "the model does not know this" : "none");
  write("uncertainty-rule", `${percent} % of the threshold${uncertainty.rule === "ignore" ? "" : `; uncertain: ${uncertainty.rule}`}`);
}

function showConnection(name) {
  document.body.dataset.state = name;
  const taken = name === "driving" && state.driver === "human";
  write("connection-text", taken ? `a person steers: take-over ${state.take_over}` : CONNECTION[name] || name);
  const known = state && !GONE.includes(name);
  write("dialect", known ? state.dialect + (state.waiting_cars ? `, ${state.waiting_cars} more waiting` : "") : "");
  element("guide").hidden = name !== "none";
  element("restart").hidden = name !== "lost";
  element("frame").hidden = element("sees").hidden = name === "none" || name === "lost";
}

function showControls() {
  const recording = state.recording;
  const slider = element("set-speed");
  const settled = !waiting && performance.now() - touched > SETTLED_MS;
  if (settled && !slider.matches(":active")) slider.value = state.set_speed_mph;
  showSetSpeed();
  write("corners", state.speed_rule);
  element("recording").setAttribute("aria-pressed", String(recording.on));
  element("autonomous").setAttribute("aria-pressed", String(!state.autonomous));
  element("saliency").setAttribute("aria-pressed", String(state.saliency.on));
  element("saliency").disabled = state.saliency.unavailable !== "";
  const missing = state.saliency.unavailable;
  write("saliency-text", missing && `the saliency overlay is not available: ${missing}`);
  const dropped = recording.dropped ? `, ${recording.dropped} dropped` : "";
  const failure = recording.failure ? `; ended: ${recording.failure}` : "";
  const recorded = `${recording.folder}: ${recording.recorded} frames recorded${dropped}${failure}`;
  write("recording-text", recording.folder ? recorded : "nothing is recorded");
  const green = state.saliency.on ? " Green: the pixels that decided." : "";
  write("sees", `Framed: what the network sees.${green} Input: ${state.sees.replace("->", "→")}.`);
}

function showSetSpeed() {
  const slider = element("set-speed");
  write("set-speed-value", slider.value);
  slider.setAttribute("aria-valuetext", `${slider.value} mph`);
}

function showWarnings() {
  const list = element("warnings");
  const texts = state.warnings.map((w) => {
    const count = w.count > 1 ? ` (${w.count} times)` : "";
    return `${w.text}${count}, ${Math.max(0, Math.round(state.seconds - w.seconds))} s ago`;
  });
  const news = state.warnings.map((w) => w.text).filter((text) => !shownWarnings.includes(text));
  // announced to screen readers in place of the list, of which they would read every new count
  if (news.length) write("announcement", `warning: ${news.join("; ")}`);
  shownWarnings = state.warnings.map((w) => w.text);
  element("no-warnings").hidden = texts.length > 0;
  writeList(list, texts);
}

function show() {
  remember();
  showConnection(state.connection);
  showFigures();
  showControls();
  showWarnings();
  showDial();
  drawPlots();
}

// -- the controls

let waiting = null; // changes that are sent, or are sent next; null: all are answered
let sending = false;

// One request at a time, so that the last change wins; changes made meanwhile are sent together.
async function set(changes) {
  waiting = { ...waiting, ...changes };
  if (sending) return;
  sending = true;
  while (Object.keys(waiting).length) {
    const next = waiting;
    waiting = {};
    await send(next);
  }
  waiting = null;
  sending = false;
}

async function send(changes) {
  const answer = await post("control", changes);
  if (answer) {
    touched = performance.now();
    state = { ...state, ...answer };
    show();
  }
}

const switches = {
  recording: () => set({ recording: !state.recording.on }),
  autonomous: () => set({ autonomous: !state.autonomous }),
  saliency: () => set({ saliency: !state.saliency.on }),
};
const KEYS = { r: "recording", m: "autonomous", v: "saliency" };
const STEPS = { "+": 1, "=": 1, "-": -1 };

function setSpeed() {
  touched = performance.now();
  showSetSpeed();
  set({ set_speed_mph: Number(element("set-speed").value) });
}

function onKey(event) {
  if (!state || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in STEPS) {
    element("set-speed").stepUp(STEPS[event.key]);
    setSpeed();
  } else if (event.key in KEYS && !event.repeat && !element(KEYS[event.key]).disabled) {
    switches[KEYS[event.key]]();
  }
}

function listenToControls() {
  for (const id in switches) element(id).addEventListener("click", () => state && switches[id]());
  element("set-speed").addEventListener("input", showSetSpeed);
  element("set-speed").addEventListener("change", setSpeed);
  document.addEventListener("keydown", onKey);
}

// -- taking over

const page = String(Math.random()); // tells this page from others; nothing secret
let moved = null; // what the hands do, to be sent
let sendingHands = false;
let handsSent = -Infinity;

async function sendHands(values) {
  moved = values;
  if (sendingHands || !state) return;
  sendingHands = true;
  while (moved) {
    const hands = moved;
    moved = null;
    handsSent = performance.now();
    await post("hands", { page, hands });
  }
  sendingHands = false;
}

async function post(address, values) {
  try {
    const response = await fetch(address, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values),
    });
    const answer = await response.json();
    write("refusal", response.ok ? answer.refused || "" : answer.error);
    return response.ok ? answer : null;
  } catch {
    write("refusal", "drive.py did not answer");
    return null;
  }
}

// Hands that hold still are sent again, because the server takes a silent page's hands off the wheel.
function holdHands(hands) {
  if (!document.hidden) hands.readGamepad();
  const held = Object.values(hands.hands).some((value) => value);
  if (held && performance.now() - handsSent > HANDS_MS) sendHands(hands.hands);
}

function watchHands() {
  const hands = new HandControls(sendHands);
  setInterval(() => holdHands(hands), 20);
}

// -- the connection to drive.py

let events = null;
let retry = 0;

function connect() {
  clearTimeout(retry);
  if (events) events.close();
  if (document.hidden) return; // a hidden page requests nothing
  events = new EventSource("events");
  events.onopen = begin;
  events.onmessage = (message) => {
    const { frame, mask, ...rest } = JSON.parse(message.data);
    if (!state || rest.seconds >= state.seconds) { // not from before the answer to a change
      state = rest;
      show();
    }
    showFrame(frame, mask);
  };
  events.onerror = () => {
    events.close();
    showConnection("lost");
    explain();
    retry = setTimeout(connect, RETRY_MS);
  };
}

// Fetches the history before the page was opened; also after the server was restarted.
async function begin() {
  points = [];
  state = null; // of a server that may have been restarted since
  drawnFrame = drawnMask = -1;
  write("refusal", "");
  const fetched = await fetch("history").then((response) => response.json()).catch(() => []);
  const last = fetched.length ? fetched.at(-1).seconds : -1;
  points = fetched.concat(points.filter((point) => point.seconds > last));
}

async function explain() {
  const status = await fetch("events", { method: "HEAD" }).then((response) => response.status).catch(() => 0);
  if (status === 401) location.reload(); // shows the login form
  if (status === 503) showConnection("full");
}

document.addEventListener("visibilitychange", connect);
listenToControls();
watchHands();
connect();
