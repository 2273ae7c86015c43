"use strict";

// Shows the state of a drive or a play: status, figures, controls, wheel and warnings. The page has
// only the elements that its session needs; write() and press() ignore the others.
// docs/reference/page.md describes the fields of the state, which page.js receives.

const PROGRAM = document.body.dataset.program;
// a play in the built-in world; else a drive of a car that is served
const IN_WORLD = "world" in document.body.dataset;
const TO_LOOK = `is ${PROGRAM} still running in its terminal?`;
const SETTLED_MS = 500; // after a change here, until the slider follows the server again
const ANNOUNCED_MS = 10000; // how long a screen reader finds what was announced
const NEW_SECONDS = 10; // how long a warning of the past is over the picture
const STATUS = {
  "connecting": "connecting",
  "frozen": "no answer", // the connection is open, but nothing comes
  "lost": "no answer",
  "ended": "ended",
  "none": "waiting for the simulator",
  "handed over": "handed over: drive with the keys",
  "key held": "a driving key is held",
  "silent": "the simulator is silent: is it paused?",
  "watching": "you watch",
  "paused": "paused",
  "asleep": "asleep",
  "awaiting": "reading the model",
  "human": "you drive",
  "model": "the model drives",
};
// what goes on when the picture stands still, which is written over it
const STILL = {
  "paused": 'Esc or "Go on" drives on',
  "asleep": "the world stands still: press a key",
  "awaiting": "the model is being read, and drives in some seconds; you may drive meanwhile",
};
// elements with what is only known while the server answers
const OF_THE_MOMENT = [
  "dialect", "steering-model", "steering-sent", "steering-degrees", "throttle", "speed", "target",
  "cross-track", "lap-time", "rate",
];

const shown = {
  status: "connecting", // a key of STATUS
  at: -Infinity, // when figures, dial and map were drawn
  warnings: [],
  folder: "", // of the recording that is on
  recording: null, // the newest state of the recording
  end: null, // the last message of a server that has ended
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
  document.body.classList.toggle("powerless", !state.steers);
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

// Lets the name of a toggle, if the page has it, say what a click does.
function turn(id, on) {
  if (element(id)) element(id).dataset.on = String(on);
}

// Lets a control, if the page has it, be used or not.
function enable(id, can) {
  if (element(id)) element(id).disabled = !can;
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
  const hasGone = status === "lost" || status === "ended";
  const hasPicture = status !== "none" && !hasGone;
  if (element("guide")) element("guide").hidden = status !== "none";
  element("restart").hidden = !hasGone;
  element("frame").hidden = !hasPicture;
  element("hud").hidden = !state || !hasPicture;
  if (status !== "frozen") showOverFrame(state);
}

// Over the picture, where the person who drives looks: why it stands still, or else the warnings of
// now.
function showOverFrame(state) {
  const isStill = shown.status in STILL;
  let texts = [];
  if (isStill) texts = [STILL[shown.status]];
  else if (state) {
    texts = state.warnings
      .filter((warning) => isNew(warning, state.seconds))
      .map(({ text, count }) => text + times(count));
  }
  writeOverFrame(texts.join("\n"), !isStill);
}

function writeOverFrame(text, warns) {
  element("over-frame").hidden = !text;
  element("over-frame").classList.toggle("warns", warns);
  write("over-frame", text);
}

// Shows that the server is silent while the connection to it is open. seconds: since its last
// message
function showFrozen(seconds) {
  if (shown.status !== "frozen") {
    forgetTheMoment();
    write("recording-text", whatIsRecorded());
    showStatus("frozen", null);
    announce(`no answer: ${TO_LOOK}`);
  }
  writeOverFrame(`no answer for ${seconds} s; this page reconnects by itself\n${TO_LOOK}`, true);
}

// Shows that the connection has ended, and how to start the server again.
function showLost() {
  const status = shown.end ? "ended" : "lost";
  const failure = shown.end?.failure;
  let happened = `${PROGRAM} ${shown.end ? "was stopped" : "does not answer"}.`;
  if (failure) happened = `${PROGRAM} has ended: ${failure}`;
  const recorded = whatIsRecorded();
  if (shown.status !== status) announce(`${happened} ${recorded}`);
  forgetTheMoment();
  write("recording-text", "");
  write("restart-text", happened);
  write("last-recording", recorded);
  write("again", status === "ended" ? "Start it again:" : "If it has ended, start it again:");
  if (shown.end) write("command", shown.end.command);
  element("next-step").hidden = !shown.end?.next;
  for (const code of document.querySelectorAll("#restart code")) {
    const isFirst = code.id === "next" || !shown.end?.next;
    code.parentElement.querySelector(".copy").classList.toggle("primary", isFirst);
  }
  if (shown.end) write("next", shown.end.next.replace(/^next: /, ""));
  showStatus(status, null);
}

// Takes back what the page says about the present.
function forgetTheMoment() {
  shown.folder = "";
  shown.warnings = [];
  if (element("warned")) element("warned").hidden = true;
  element("wheel").hidden = true;
  element("recording-lamp").hidden = true;
  for (const id of CONTROLS) enable(id, false);
  document.body.classList.add("powerless");
  markPrimary("");
  write("sees", "");
  for (const id of OF_THE_MOMENT) write(id, id === "dialect" ? "" : "–");
  element("dial").setAttribute("aria-label", "steering: not known");
  drawDial(element("dial"), null, null);
}

// Says how many rows are recorded: those that the server counted at its end, or else last.
function whatIsRecorded() {
  const recording = shown.end ? shown.end.recording : shown.recording;
  const when = shown.end ? "" : "When it last answered, ";
  if (!recording) return "";
  if (!recording.folder || !recording.recorded) {
    return shown.end ? "Nothing was recorded." : `${when}nothing was recorded.`;
  }
  const were = recording.recorded === 1 ? "was" : "were";
  const stay = shown.end ? "" : ", where they stay";
  return `${when}${rowsOf(recording)} ${were} recorded into the folder ${recording.folder}${stay}.`;
}

function rowsOf({ recorded, dropped, failure }) {
  const rows = `${recorded} ${recorded === 1 ? "row" : "rows"}`;
  const lost = dropped ? ` (${dropped} dropped)` : "";
  return rows + lost + (failure ? ` (ended: ${failure})` : "");
}

// -- the figures

function showFigures(state) {
  write("steering-model", fixed(state.steering_model, 3));
  write("steering-sent", fixed(state.steering_sent, 3));
  write("throttle", fixed(state.throttle, 2));
  write("speed", fixed(state.speed_mph, 1));
  write("target", fixed(state.target_speed_mph ?? state.set_speed_mph, 0));
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
  if (track) drawMap(element("map"), track, state);
}

function showCar(state) {
  const latency = state.latency_ms;
  const isAnswered = latency.last !== null; // the car; p50 and p99 are of cars before, too
  const degrees = state.steering_degrees;
  const waiting = state.waiting_cars ? `, ${state.waiting_cars} more waiting` : "";
  write("dialect", state.dialect + waiting);
  write("steering-degrees", degrees === null ? "–" : `${fixed(degrees, 1)}°`);
  write("p50", fixed(isAnswered ? latency.p50 : null, 0));
  write("p99", fixed(isAnswered ? latency.p99 : null, 0));
  write("frames", state.frames.toLocaleString("en"));
  write("rate", fixed(isAnswered ? state.frames_per_second : null, 0));
  write("faults", String(state.faults));
}

// -- the controls

const CONTROLS = [
  "recording", "paused", "put-back", "kept", "autonomous", "saliency", "set-speed",
];

function showControls(state) {
  turn("recording", state.recording.on);
  turn("paused", state.mode === "paused");
  turn("kept", state.kept);
  turn("autonomous", !state.autonomous);
  turn("saliency", state.saliency.on);
  markPrimary(primaryOf(state));
  for (const id of CONTROLS) {
    const isAwaited = id === "set-speed" && state.awaits_model;
    const isUnavailable = isAwaited || (id === "saliency" && state.saliency.unavailable !== "");
    enable(id, state.steers && !isUnavailable); // a page that watches says so over the picture
  }
  showRecording(state.recording);
  showModel(state);
  // the slider, unless it is being moved
  const slider = element("set-speed");
  const isSettled = performance.now() - settledAt > SETTLED_MS;
  if (slider && isSettled && !slider.matches(":active")) slider.value = state.set_speed_mph;
  showSetSpeed();
}

function markPrimary(primary) {
  for (const id of CONTROLS) {
    if (element(id)) element(id).classList.toggle("primary", id === primary);
  }
}

// Returns the id of the control that is most often wanted next, "" without one.
function primaryOf(state) {
  if (!state.steers || shown.status === "none") return "";
  if (state.mode === "paused") return "paused";
  if (state.off_road) return "put-back";
  if (IN_WORLD && element("kept") && !state.kept) return "kept";
  return IN_WORLD || state.autonomous ? "recording" : "autonomous";
}

function showRecording(recording) {
  shown.recording = recording;
  element("recording-lamp").hidden = !recording.on;
  const rows = rowsOf(recording);
  const folder = `the folder ${recording.folder}`;
  const isBegun = recording.recorded || recording.dropped || recording.failure;
  let text = "nothing is recorded";
  const isAhead = recording.on && shown.status === "none" && !isBegun;
  const stop = element("recording").querySelector(".on");
  stop.textContent = isAhead ? "Do not record" : "Stop recording";
  if (isAhead) {
    text = `will record into ${folder} once a simulator connects`;
  } else if (recording.on) text = `recording: ${rows} into ${folder}`;
  else if (recording.folder && isBegun) text = `not recording: ${rows} are in ${folder}`;
  write("recording-text", text);
}

// Says what the model does, and what of the picture it sees.
function showModel(state) {
  const { saliency } = state;
  let hint = "The model drives while you do not steer.";
  if (state.kept) hint = "You drive until you let the model drive.";
  else if (state.awaits_model) hint = "The model drives once it is read.";
  write("model-hint", hint);
  if (state.awaits_model) {
    write("sees", "");
    return;
  }
  const framed = state.region && shown.status !== "none" ? "Framed: what the network sees. " : "";
  const input = state.sees ? `, in the network's input: ${state.sees.replace("->", "→")}` : "";
  const green = saliency.on ? `Green: the pixels that decided${input}. ` : "";
  const lacks = saliency.unavailable
    ? `What decided the steering cannot be shown: ${saliency.unavailable}.` : "";
  write("sees", framed + green + lacks);
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
  if (!element("warned")) return;
  const texts = state.warnings
    .filter((warning) => !isNew(warning, state.seconds)) // the new ones are over the picture
    .map((warning) => warningText(warning, state.seconds));
  element("warned").hidden = !texts.length;
  writeList(element("warnings"), texts);
}

// now: seconds since the server began
function isNew({ seconds }, now) {
  return seconds === null || now - seconds < NEW_SECONDS; // null: its cause persists
}

function warningText({ text, count, seconds }, now) {
  return `${Math.round(now - seconds)} s ago${times(count)}: ${text}`;
}

function times(count) {
  return count > 1 ? ` (${count} times)` : "";
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

// -- the commands

// Lets the buttons beside commands copy them, where the browser allows it.
function offerCopies() {
  if (!CAN_COPY) return;
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    letCopy(button, () => announce("copied"));
  }
}
