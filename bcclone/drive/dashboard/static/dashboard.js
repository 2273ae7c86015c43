"use strict";

// Server-sent events -> the page. What the fields mean: docs/dashboard.md.

const HISTORY_SECONDS = 60;
const CONNECTION = {
  "none": "waiting for the simulator",
  "driving": "the model drives",
  "handed over": "handed over: drive with the keys",
  "key held": "a driving key is held",
  "silent": "the simulator is silent",
  "lost": "drive.py does not answer",
};
const element = (id) => document.getElementById(id);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const colors = { model: color("model"), sent: color("sent"), line: color("line"), quiet: color("quiet"), text: color("text") };

let state = null;
let moments = [];
let drawnFrame = -1;
let drawnMask = -1;
let cameraImage = null;
let maskImage = null;

function write(id, text) {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}

function fixed(value, digits) {
  return value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−");
}

// -- the camera

function decode(type, base64) {
  const image = new Image();
  image.src = `data:image/${type};base64,${base64}`;
  return image.decode().then(() => image);
}

async function showFrame(frame, mask) {
  if (frame.number !== drawnFrame && frame.jpeg) {
    drawnFrame = frame.number;
    // a frame that cannot be decoded is among the warnings
    cameraImage = await decode("jpeg", frame.jpeg).catch(() => cameraImage);
  }
  if (!mask.png) {
    maskImage = null;
  } else if (mask.frame !== drawnMask) {
    drawnMask = mask.frame;
    maskImage = await decode("png", mask.png).catch(() => null);
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
  context.strokeStyle = colors.model;
  context.strokeRect(x + .5, y + .5, width - 1, height - 1);
}

// -- the dial

function drawDial() {
  const canvas = element("dial");
  const context = canvas.getContext("2d");
  const x = canvas.width / 2, y = canvas.height - 18, radius = 92;
  const angle = (steering) => -Math.PI / 2 + steering * Math.PI / 2 * .9;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.lineWidth = 2;
  context.strokeStyle = colors.line;
  context.beginPath();
  context.arc(x, y, radius, angle(-1), angle(1));
  context.stroke();
  context.fillStyle = colors.quiet;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  for (const mark of [-1, -.5, 0, .5, 1]) {
    const cosine = Math.cos(angle(mark)), sine = Math.sin(angle(mark));
    context.beginPath();
    context.moveTo(x + cosine * (radius - 6), y + sine * (radius - 6));
    context.lineTo(x + cosine * radius, y + sine * radius);
    context.stroke();
    context.fillText(String(mark).replace("-", "−"), x + cosine * (radius + 11), y + sine * (radius + 11) + 4);
  }
  const needle = (value, length, width, style) => {
    if (value === null || value === undefined) return;
    const at = angle(Math.min(Math.max(value, -1.05), 1.05));
    context.strokeStyle = style;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + Math.cos(at) * length, y + Math.sin(at) * length);
    context.stroke();
  };
  needle(state.steering_sent, radius - 26, 7, colors.sent);
  needle(state.steering_model, radius - 10, 3, colors.model);
  const words = state.steering_sent === null ? "nothing sent" : `sent ${fixed(state.steering_sent, 2)}, model ${fixed(state.steering_model, 2)}`;
  canvas.setAttribute("aria-label", `steering, −1 left to 1 right: ${words}`);
}

// -- the plots

function drawPlot(id, names, styles, low, high) {
  const canvas = element(id);
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const margin = 34, newest = state.seconds;
  const x = (seconds) => margin + (width - margin) * (1 - (newest - seconds) / HISTORY_SECONDS);
  const y = (value) => 6 + (height - 12) * (1 - (Math.min(Math.max(value, low), high) - low) / (high - low));
  context.font = "11px system-ui, sans-serif";
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
  names.forEach((name, index) => {
    context.strokeStyle = styles[index];
    context.lineWidth = 1.5;
    context.beginPath();
    let last = null;
    for (const moment of moments) {
      const value = moment[name];
      if (value === null) { last = null; continue; }
      if (last === null || moment.seconds - last > 1) context.moveTo(x(moment.seconds), y(value));
      else context.lineTo(x(moment.seconds), y(value));
      last = moment.seconds;
    }
    context.stroke();
  });
}

function roundUp(value) {
  return [1, 2, 5, 10, 20, 30, 40, 50, 60, 100, 200, 500, 1000].find((step) => step >= value) || value;
}

function drawPlots() {
  const highest = (...names) => Math.max(1, ...moments.flatMap((moment) => names.map((name) => moment[name])));
  const widest = Math.max(.2, ...moments.flatMap((m) => [Math.abs(m.steering_model), Math.abs(m.steering_sent)]));
  const reach = [.2, .5, 1].find((step) => step >= widest) || 1;
  drawPlot("plot-steering", ["steering_sent", "steering_model"], [colors.sent, colors.model], -reach, reach);
  drawPlot("plot-speed", ["set_speed_mph", "speed_mph"], [colors.sent, colors.text], 0, roundUp(highest("speed_mph", "set_speed_mph")));
  drawPlot("plot-throttle", ["throttle"], [colors.text], -1, 1);
  drawPlot("plot-latency", ["latency_ms"], [colors.text], 0, roundUp(highest("latency_ms")));
}

function remember() {
  if (state.steering_sent !== null && state.connection === "driving") {
    moments.push({
      seconds: state.seconds, speed_mph: state.speed_mph, set_speed_mph: state.target_speed_mph,
      steering_model: state.steering_model, steering_sent: state.steering_sent, throttle: state.throttle,
      latency_ms: state.latency_ms.last || 0,
    });
  }
  moments = moments.filter((moment) => moment.seconds > state.seconds - HISTORY_SECONDS);
}

// -- figures and words

function showFigures() {
  const latency = state.latency_ms;
  write("steering-model", fixed(state.steering_model, 3));
  write("steering-sent", fixed(state.steering_sent, 3));
  write("steering-degrees", state.steering_degrees === null ? "–" : `${fixed(state.steering_degrees, 1)}°`);
  write("speed", fixed(state.speed_mph, 1));
  write("target", fixed(state.target_speed_mph === null ? state.set_speed_mph : state.target_speed_mph, 1));
  write("throttle", fixed(state.throttle, 2));
  write("latency", fixed(latency.last, 1));
  write("p50", fixed(latency.p50, 1));
  write("p99", fixed(latency.p99, 1));
  write("frames", state.frames.toLocaleString("en"));
  write("rate", fixed(state.frames_per_second, 1));
  write("faults", String(state.faults));
  write("slow", latency.limit > 0 ? `${latency.slow} over ${latency.limit} ms` : "");
}

function showConnection(name) {
  element("connection").dataset.state = name;
  write("connection-text", CONNECTION[name] || name);
  write("dialect", state && name !== "lost" ? state.dialect + (state.waiting_cars ? `, ${state.waiting_cars} more waiting` : "") : "");
  element("guide").hidden = name !== "none";
}

function showControls() {
  const recording = state.recording;
  const slider = element("set-speed");
  if (document.activeElement !== slider || !slider.matches(":active")) slider.value = state.set_speed_mph;
  write("set-speed-value", fixed(Number(slider.value), 0));
  press("recording", recording.on, recording.on ? "Stop recording" : "Record");
  press("autonomous", !state.autonomous, state.autonomous ? "Hand over to manual" : "Let the model drive");
  press("saliency", state.saliency.on, state.saliency.on ? "Hide which pixels decided" : "Show which pixels decided");
  element("saliency").disabled = state.saliency.unavailable !== "";
  element("saliency").title = state.saliency.unavailable;
  const dropped = recording.dropped ? `, ${recording.dropped} dropped` : "";
  const failure = recording.failure ? `; ended: ${recording.failure}` : "";
  write("recording-text", recording.folder ? `${recording.folder}: ${recording.recorded} frames recorded${dropped}${failure}` : "nothing is recorded");
  write("sees", `framed: what the network sees; prepared as ${state.sees}`);
}

function press(id, pressed, words) {
  const button = element(id);
  button.setAttribute("aria-pressed", String(pressed));
  if (button.firstChild.textContent !== `${words} `) button.firstChild.textContent = `${words} `;
}

function showWarnings() {
  const list = element("warnings");
  const texts = state.warnings.map((w) => `${w.text}${w.count > 1 ? ` (${w.count} times)` : ""}, ${Math.max(0, Math.round(state.seconds - w.seconds))} s ago`);
  element("no-warnings").hidden = texts.length > 0;
  while (list.children.length > texts.length) list.lastChild.remove();
  while (list.children.length < texts.length) list.append(document.createElement("li"));
  texts.forEach((text, index) => {
    if (list.children[index].textContent !== text) list.children[index].textContent = text;
  });
}

function show() {
  remember();
  showConnection(state.connection);
  showFigures();
  showControls();
  showWarnings();
  drawDial();
  drawPlots();
}

// -- the controls

async function set(changes) {
  try {
    const response = await fetch("control", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(changes),
    });
    const answer = await response.json();
    write("refusal", response.ok ? "" : answer.error);
    if (response.ok) {
      state = { ...state, ...answer };
      show();
    }
  } catch {
    write("refusal", "drive.py did not answer");
  }
}

const switches = {
  recording: () => set({ recording: !state.recording.on }),
  autonomous: () => set({ autonomous: !state.autonomous }),
  saliency: () => set({ saliency: !state.saliency.on }),
  faster: () => set({ set_speed_mph: Math.min(state.set_speed_mph + 1, 60) }),
  slower: () => set({ set_speed_mph: Math.max(state.set_speed_mph - 1, 0) }),
};
const KEYS = { r: "recording", m: "autonomous", v: "saliency", ArrowUp: "faster", ArrowDown: "slower" };

function listenToControls() {
  for (const id of ["recording", "autonomous", "saliency"]) element(id).addEventListener("click", () => state && switches[id]());
  element("set-speed").addEventListener("input", (event) => write("set-speed-value", event.target.value));
  element("set-speed").addEventListener("change", (event) => set({ set_speed_mph: Number(event.target.value) }));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input") && event.key.startsWith("Arrow"); // the slider moves by itself
    if (!state || typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
    event.preventDefault();
    switches[KEYS[event.key]]();
  });
}

// -- the connection to drive.py

let events = null;

async function connect() {
  if (events) events.close();
  events = new EventSource("events");
  events.onopen = async () => {
    const history = await fetch("history").then((response) => response.json()).catch(() => []);
    moments = history.concat(moments.filter((moment) => !history.length || moment.seconds > history.at(-1).seconds));
  };
  events.onmessage = (message) => {
    const { frame, mask, ...rest } = JSON.parse(message.data);
    state = rest;
    show();
    showFrame(frame, mask);
  };
  events.onerror = () => showConnection("lost"); // the browser tries again by itself
}

// a page that nobody sees asks for nothing
document.addEventListener("visibilitychange", () => {
  if (document.hidden) events.close();
  else connect();
});
listenToControls();
connect();
