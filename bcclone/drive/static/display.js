"use strict";

// Shows the state of a drive or a play: status, figures, controls, wheel and warnings. The page has
// only the elements that its session needs; write() and press() ignore the others.
// docs/reference/page.md describes the fields of the state, which page.js receives.

const PROGRAM = document.body.dataset.program;
// a play in the built-in world; else a drive of a car that is served
const IN_WORLD = "world" in document.body.dataset;
const SETTLED_MS = 500; // after a change here, until the slider follows the server again
const ANNOUNCED_MS = 10000; // how long a screen reader finds what was announced
const STATUS = {
  "connecting": "connecting",
  "lost": `${PROGRAM} does not answer`,
  "none": "waiting for the simulator",
  "handed over": "handed over: drive with the keys",
  "key held": "a driving key is held",
  "silent": "the simulator is silent: is it paused?",
  "watching": "you watch: another page drives",
  "paused": "paused: Esc drives on",
  "asleep": "the world stands still: press a key",
  "human": "you drive",
  "model": "the model drives",
};
// why the picture stands still, which is written over it
const STILL = ["paused", "asleep"];

const shown = {
  status: "connecting", // a key of STATUS
  at: -Infinity, // when figures, dial and map were drawn
  warnings: [],
  folder: "", // of the recording that is on
  cutShort: "", // what became of the recording that was on when the server ended
};
let settledAt = -Infinity; // when the slider was last moved here

// Shows a state. track: that the map shows
function show(state, track) {
  shown.at = performance.now();
  showStatus(statusOf(state), state);
  showFigures(state);
  if (IN_WORLD) showWorld(state, track);
  else showCar(state);
  showControls(state);
  element("wheel").hidden = state.steers;
  showWarnings(state);
  drawDial(element("dial"), state.steering_sent, state.steering_model);
}

// Changes that are shown at once; nobody reads figures thirty times a second.
function isNews(before, state) {
  return !before || statusOf(before) !== statusOf(state)
    || before.steers !== state.steers
    || before.warnings.length !== state.warnings.length;
}

// Makes a toggle look pressed or not, if the page has it.
function press(id, on) {
  if (element(id)) element(id).setAttribute("aria-pressed", String(on));
}

// -- the status

// Returns the key of STATUS for a state.
function statusOf(state) {
  if (IN_WORLD && !state.steers) return "watching";
  const status = IN_WORLD ? state.mode : state.connection;
  return status === "driving" ? state.driver : status;
}

// state: null without a connection
function showStatus(status, state) {
  shown.status = status;
  document.body.dataset.status = status;
  const isTaken = status === "human" && !IN_WORLD;
  const text = isTaken ? `a person steers: take-over ${state.take_over}` : STATUS[status] || status;
  write("connection-text", text);
  // in place of the picture, what to do
  const hasPicture = status !== "none" && status !== "lost";
  if (element("guide")) element("guide").hidden = status !== "none";
  element("restart").hidden = status !== "lost";
  element("frame").hidden = !hasPicture;
  element("hud").hidden = !hasPicture;
  if (element("sees")) element("sees").hidden = !hasPicture;
  showOverFrame(state);
}

// Over the picture, where the person who drives looks: why it stands still, or else the first
// warning.
function showOverFrame(state) {
  let text = "";
  if (STILL.includes(shown.status)) text = STATUS[shown.status];
  else if (IN_WORLD && state && state.warnings.length) text = state.warnings[0].text;
  element("over-frame").hidden = !text;
  write("over-frame", text);
}

// Shows that the server has ended: nothing is recorded, and no warning holds any more. before: the
// last state, null without one
function showLost(before) {
  if (before && before.recording.on) {
    const folder = before.recording.folder;
    shown.cutShort = `the recording ended with ${PROGRAM}; the rows in ${folder} are whole, `
      + "but for about the last second";
    write("recording-text", shown.cutShort);
    announce(shown.cutShort);
  }
  shown.folder = "";
  shown.warnings = [];
  writeList(element("warnings"), []);
  element("no-warnings").hidden = false;
  element("recording-lamp").hidden = true;
  press("recording", false);
  write("dialect", "");
  showStatus("lost", null);
}

// -- the figures

function showFigures(state) {
  write("steering-model", fixed(state.steering_model, 3));
  write("steering-sent", fixed(state.steering_sent, 3));
  write("throttle", fixed(state.throttle, 2));
  write("speed", fixed(state.speed_mph, 1));
  write("target", fixed(state.target_speed_mph ?? state.set_speed_mph, 1));
  // the dial in words
  const sent = fixed(state.steering_sent, 2);
  const model = fixed(state.steering_model, 2);
  const words = state.steering_sent === null ? "nothing sent" : `sent ${sent}, model ${model}`;
  element("dial").setAttribute("aria-label", `steering, −1 left to 1 right: ${words}`);
}

function showWorld(state, track) {
  const laps = state.laps;
  write("cross-track", fixed(state.cross_track_m, 1));
  write("lap", String(laps.lap));
  write("lap-time", clock(laps.seconds));
  write("last-lap", clock(laps.last));
  write("best-lap", clock(laps.best));
  write("hud", `${fixed(state.speed_mph, 0)} mph, lap ${laps.lap}: ${clock(laps.seconds)}`);
  if (track) drawMap(element("map"), track, state);
}

function showCar(state) {
  const latency = state.latency_ms;
  const isAnswered = latency.last !== null; // the car; p50 and p99 are of cars before, too
  const degrees = state.steering_degrees;
  const waiting = state.waiting_cars ? `, ${state.waiting_cars} more waiting` : "";
  write("dialect", state.dialect + waiting);
  write("steering-degrees", degrees === null ? "–" : `${fixed(degrees, 1)}°`);
  write("latency", fixed(latency.last, 1));
  write("p50", fixed(isAnswered ? latency.p50 : null, 1));
  write("p99", fixed(isAnswered ? latency.p99 : null, 1));
  write("frames", state.frames.toLocaleString("en"));
  write("rate", fixed(state.frames_per_second, 1));
  write("faults", String(state.faults));
}

// -- the controls

const CONTROLS = [
  "recording", "paused", "put-back", "kept", "autonomous", "saliency", "set-speed",
];

function showControls(state) {
  press("recording", state.recording.on);
  press("paused", state.mode === "paused");
  press("kept", state.kept);
  press("autonomous", !state.autonomous);
  press("saliency", state.saliency.on);
  for (const id of CONTROLS) {
    const isUnavailable = id === "saliency" && state.saliency.unavailable !== "";
    if (element(id)) element(id).disabled = shown.status === "watching" || isUnavailable;
  }
  showRecording(state.recording);
  showModel(state);
  // the slider, unless it is being moved
  const slider = element("set-speed");
  const isSettled = performance.now() - settledAt > SETTLED_MS;
  if (slider && isSettled && !slider.matches(":active")) slider.value = state.set_speed_mph;
  showSetSpeed();
}

function showRecording(recording) {
  element("recording-lamp").hidden = !recording.on;
  if (recording.on) shown.cutShort = "";
  let text = shown.cutShort || "nothing is recorded";
  if (recording.folder) {
    const dropped = recording.dropped ? `, ${recording.dropped} dropped` : "";
    const failure = recording.failure ? `; ended: ${recording.failure}` : "";
    text = `${recording.folder}: ${recording.recorded} rows recorded${dropped}${failure}`;
  }
  write("recording-text", text);
}

// Says what the model does, and what of the picture it sees.
function showModel(state) {
  const { saliency } = state;
  const hint = state.kept
    ? "You keep the wheel; M gives it to the model."
    : "The model drives while you do not steer.";
  write("model-hint", hint);
  const unavailable = `the saliency overlay is not available: ${saliency.unavailable}`;
  write("saliency-text", saliency.unavailable ? unavailable : "");
  const framed = state.region ? "Framed: what the network sees. " : "";
  const green = saliency.on ? "Green: the pixels that decided. " : "";
  const input = state.sees ? `Input: ${state.sees.replace("->", "→")}.` : "";
  write("sees", framed + green + input);
}

function showSetSpeed() {
  const slider = element("set-speed");
  if (!slider) return;
  write("set-speed-value", slider.value);
  slider.setAttribute("aria-valuetext", `${slider.value} mph`);
}

// -- the warnings

function showWarnings(state) {
  announceNews(state);
  const texts = state.warnings.map((warning) => warningText(warning, state.seconds));
  element("no-warnings").hidden = texts.length > 0;
  writeList(element("warnings"), texts);
}

// now: seconds since the server began
function warningText({ text, count, seconds }, now) {
  if (seconds === null) return text; // its cause persists
  const times = count > 1 ? ` (${count} times)` : "";
  const ago = Math.max(0, Math.round(now - seconds));
  return `${text}${times}, ${ago} s ago`;
}

// Announces what is new to screen readers, in place of the list, of which they would read every new
// count.
function announceNews(state) {
  const warnings = state.warnings.map((warning) => warning.text);
  const folder = state.recording.on ? state.recording.folder : "";
  const news = warnings
    .filter((text) => !shown.warnings.includes(text))
    .map((text) => `warning: ${text}`);
  if (folder !== shown.folder) {
    news.push(folder ? `recording into ${folder}` : "the recording has ended");
  }
  shown.warnings = warnings;
  shown.folder = folder;
  if (news.length) announce(news.join("; "));
}

function announce(text) {
  write("announcement", text);
  setTimeout(() => {
    if (element("announcement").textContent === text) write("announcement", "");
  }, ANNOUNCED_MS);
}

// Writes texts into a list, and changes only the items that differ, since screen readers read what
// changes.
function writeList(list, texts) {
  while (list.children.length > texts.length) list.lastChild.remove();
  while (list.children.length < texts.length) list.append(document.createElement("li"));
  texts.forEach((text, index) => {
    const item = list.children[index];
    if (item.textContent !== text) item.textContent = text;
  });
}
