"use strict";

// Drives the simulator's car over a websocket. docs/reference/play.md describes the messages.

const RETRY_MS = 1000;
const HEARTBEAT_MS = 200; // the car stops when no input has come for a second
const SHOW_MS = 90; // between two times that figures, dial and map are drawn
const REMEMBERED = 200; // times from a key to its picture
const ANNOUNCED_MS = 10000; // how long a screen reader finds what was announced
const MODES = {
  connecting: "connecting", lost: "bcclone play does not answer: start it again; this page reconnects by itself",
  full: "too many pages are open: close one", watching: "you watch: another page drives",
  paused: "paused: Esc drives on", asleep: "the car has stopped: press a key", human: "you drive", model: "the model drives",
};

let socket = null;
let state = null; // of the newest frame that was drawn
let track = null;
let maskImage = null;
let inputNumber = 0;
let sentAt = -Infinity;
let pressedAt = new Map(); // number of an input -> when its key was pressed
let keyToPicture = []; // milliseconds
let drawnFrames = 0;
let settled = -Infinity; // when the slider was last moved here
let shownWarnings = [];
let shownMode = "";
let shownFolder = ""; // of the recording that is on
let shownAsked = false;
let asking = false; // this page, for the wheel
let refused = false; // the wheel
let cutShort = ""; // the recording that was on when the server ended
let shownAt = -Infinity;

const hands = new HandControls(sendHands);

// -- the connection

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`);
  socket.binaryType = "arraybuffer";
  let received = Promise.resolve(); // one after the other, since pictures are decoded at different speeds
  socket.onmessage = (message) => { received = received.then(() => receive(message.data)); };
  socket.onclose = () => {
    showLost();
    explain();
    setTimeout(connect, RETRY_MS);
  };
  pressedAt = new Map();
  inputNumber = 0;
}

// Tells why there is no connection: the server asks for the token, or has no room.
async function explain() {
  const status = await fetch("room").then((response) => response.status).catch(() => 0);
  if (status === 401) location.reload();
  if (status === 503) showMode("full");
}

function send(message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function sendHands(values, event) {
  if (!state || !state.wheel.drives) return;
  inputNumber += 1;
  if (event && event.type === "keydown") pressedAt.set(inputNumber, event.timeStamp);
  sentAt = performance.now();
  send({ input: inputNumber, hands: values });
}

// Browsers draw no pictures for a tab that nobody sees, so that its car stops.
function beat() {
  hands.readGamepad();
  if (performance.now() - sentAt > HEARTBEAT_MS) sendHands(hands.hands, null);
  requestAnimationFrame(beat);
}

async function receive(data) {
  const length = new DataView(data).getUint32(0);
  const message = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  if (message.kind === "refusal") {
    write("refusal", message.error);
    return;
  }
  const [jpeg, mask] = message.pictures;
  const pictures = 4 + length;
  const image = await decode("jpeg", new Uint8Array(data, pictures, jpeg));
  if (mask) maskImage = await decode("png", new Uint8Array(data, pictures + jpeg, mask));
  if (!message.saliency) maskImage = null;
  drawFrame(image);
  send({ drawn: message.number });
  const before = state;
  state = message;
  measure();
  if (performance.now() - shownAt > SHOW_MS || isNews(before)) show();
}

// Changes that are shown at once; nobody reads figures thirty times a second.
function isNews(before) {
  return !before || modeOf(before) !== modeOf(state) || before.wheel.asked !== state.wheel.asked || before.warnings.length !== state.warnings.length;
}

function decode(type, bytes) {
  return createImageBitmap(new Blob([bytes], { type: `image/${type}` })).catch(() => null);
}

function drawFrame(image) {
  if (!image) return;
  const canvas = element("frame");
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  if (maskImage) context.drawImage(maskImage, 0, 0, canvas.width, canvas.height);
  image.close();
  drawnFrames += 1;
}

// Takes the time from keys to the first picture of the world with their effect.
function measure() {
  for (const [number, at] of pressedAt) {
    if (number > state.input) break;
    pressedAt.delete(number);
    keyToPicture.push(performance.now() - at);
    keyToPicture = keyToPicture.slice(-REMEMBERED);
    write("key-to-picture", fixed(keyToPicture.at(-1), 0));
  }
}

// -- what the page shows

function showMode(mode) {
  document.body.dataset.state = mode;
  write("connection-text", MODES[mode]);
  shownMode = mode;
  showOver();
}

// Over the picture, where the person who drives looks: why it stands still, or else the first warning.
function showOver() {
  const still = ["lost", "paused", "asleep", "full"].includes(shownMode);
  const text = still ? MODES[shownMode] : (state && state.warnings[0]) || "";
  element("over-frame").hidden = !text;
  write("over-frame", text);
}

// Without the server nothing is recorded, and no warning holds any more.
function showLost() {
  if (state && state.recording.on) {
    cutShort = `the recording ended with bcclone play; the rows in ${state.recording.folder} are whole, but for about the last second`;
    write("recording-text", cutShort);
    announce(cutShort);
  }
  state = null;
  shownFolder = "";
  shownWarnings = [];
  writeList(element("warnings"), []);
  element("no-warnings").hidden = false;
  element("recording-lamp").hidden = true;
  element("recording").setAttribute("aria-pressed", "false");
  showMode("lost");
}

function announce(text) {
  write("announcement", text);
  setTimeout(() => { if (element("announcement").textContent === text) write("announcement", ""); }, ANNOUNCED_MS);
}

function modeOf(one) {
  if (!one.wheel.drives) return "watching";
  return one.mode === "driving" ? one.driver : one.mode;
}

function clock(seconds) {
  if (seconds === null) return "–";
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

function show() {
  shownAt = performance.now();
  const mode = modeOf(state);
  if (mode !== shownMode) showMode(mode);
  showFigures();
  showControls();
  showWarnings();
  drawDial(element("dial"), state.steering, state.steering_model);
  element("dial").setAttribute("aria-label", `steering ${fixed(state.steering, 1)}, −1 left to 1 right`);
  drawMap();
}

function showFigures() {
  write("steering", fixed(state.steering, 2));
  if (element("steering-model")) write("steering-model", fixed(state.steering_model, 2));
  write("throttle", fixed(state.throttle, 2));
  write("speed", fixed(state.speed_mph, 1));
  write("cross-track", fixed(state.cross_track_m, 1));
  write("lap", String(state.laps.lap));
  write("lap-time", clock(state.laps.seconds));
  write("last-lap", clock(state.laps.last));
  write("best-lap", clock(state.laps.best));
  write("hud", `${fixed(state.speed_mph, 0)} mph, lap ${state.laps.lap}: ${clock(state.laps.seconds)}`);
  write("rate", state.frames_per_second ? fixed(state.frames_per_second, 0) : "–");
  write("factor", fixed(state.real_time_factor, 2));
}

function showControls() {
  const { recording, wheel } = state;
  const press = (id, on) => element(id) && element(id).setAttribute("aria-pressed", String(on));
  press("recording", recording.on);
  press("paused", state.mode === "paused");
  press("kept", state.kept);
  press("saliency", state.saliency);
  element("recording-lamp").hidden = !recording.on;
  const failure = recording.failure ? "; it has ended, see the warnings" : "";
  const dropped = recording.dropped ? `, ${recording.dropped} dropped` : "";
  const recorded = `${recording.folder}: ${recording.recorded} rows${dropped}${failure}`;
  if (recording.on) cutShort = "";
  write("recording-text", recording.folder ? recorded : cutShort || "nothing is recorded");
  if (element("model-hint")) {
    write("model-hint", state.kept ? "You keep the wheel; M gives it to the model." : "The model drives while you do not steer.");
  }
  for (const id of ["recording", "paused", "put-back", "kept", "saliency", "set-speed"]) {
    if (element(id)) element(id).disabled = !wheel.drives || (id === "saliency" && state.saliency_unavailable !== "");
  }
  if (element("saliency-text")) {
    const missing = state.saliency_unavailable;
    write("saliency-text", missing && `the saliency overlay is not available: ${missing}`);
    if (performance.now() - settled > 500) element("set-speed").value = state.set_speed_mph;
    showSetSpeed();
  }
  element("wheel").hidden = wheel.drives && !wheel.asked;
  element("ask").hidden = wheel.drives || wheel.asking;
  element("give").hidden = element("keep").hidden = !wheel.asked;
  if (asking && !wheel.asking) refused = !wheel.drives;
  if (wheel.asking || wheel.drives) refused = false;
  asking = wheel.asking;
  const asked = "Another page asks for the wheel; it gets it in 10 s if you do not answer.";
  const watched = refused ? "The other page keeps the wheel; this one watches." : "Another page drives; this one watches.";
  const watching = asking ? "You have asked for the wheel; you get it within 10 s, unless the other page keeps it." : watched;
  write("wheel-text", wheel.asked ? asked : watching);
}

function showSetSpeed() {
  const slider = element("set-speed");
  write("set-speed-value", slider.value);
  slider.setAttribute("aria-valuetext", `${slider.value} mph`);
}

function showWarnings() {
  const texts = state.warnings;
  const news = texts.filter((text) => !shownWarnings.includes(text)).map((text) => `warning: ${text}`);
  const folder = state.recording.on ? state.recording.folder : "";
  if (folder !== shownFolder) news.push(folder ? `recording into ${folder}` : "the recording has ended");
  shownFolder = folder;
  if (state.wheel.asked && !shownAsked) news.push("another page asks for the wheel: G gives it, K keeps it");
  shownAsked = state.wheel.asked;
  if (news.length) announce(news.join("; ")); // texts with figures in them would be read without end
  shownWarnings = texts;
  element("no-warnings").hidden = texts.length > 0;
  writeList(element("warnings"), texts);
  showOver();
}

function drawMap() {
  if (!track) return;
  const { context, width, height } = wipe(element("map"));
  const xs = track.line.map(([x]) => x), zs = track.line.map(([, z]) => z);
  const [left, right, bottom, top] = [Math.min(...xs), Math.max(...xs), Math.min(...zs), Math.max(...zs)];
  const scale = Math.min((width - 16) / (right - left), (height - 16) / (top - bottom));
  const x = (value) => width / 2 + (value - (left + right) / 2) * scale;
  const y = (value) => height / 2 - (value - (bottom + top) / 2) * scale;
  context.strokeStyle = colors.quiet;
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.beginPath();
  for (const [px, pz] of track.line) context.lineTo(x(px), y(pz));
  context.closePath();
  context.stroke();
  context.save();
  context.translate(x(state.x_m), y(state.z_m));
  context.rotate(state.heading);
  context.fillStyle = state.driver === "human" ? colors.sent : colors.model;
  context.beginPath();
  for (const point of [[0, -8], [5, 6], [-5, 6]]) context.lineTo(...point);
  context.fill();
  context.restore();
}

// -- the controls

function setSpeed() {
  settled = performance.now();
  showSetSpeed();
  send({ set: { set_speed_mph: Number(element("set-speed").value) } });
}

const buttons = {
  recording: () => send({ set: { recording: !state.recording.on } }),
  paused: () => send({ set: { paused: state.mode !== "paused" } }),
  "put-back": () => send({ set: { put_back: true } }),
  kept: () => send({ set: { kept: !state.kept } }),
  saliency: () => send({ set: { saliency: !state.saliency } }),
  ask: () => send({ wheel: "ask" }),
  give: () => send({ wheel: "give" }),
  keep: () => send({ wheel: "keep" }),
};
const KEYS = { r: "recording", Escape: "paused", b: "put-back", m: "kept", v: "saliency", g: "give", k: "keep" };
const STEPS = { "+": 1, "=": 1, "-": -1 };

function onKey(event) {
  if (!state || event.ctrlKey || event.metaKey || event.altKey) return;
  const button = element(KEYS[event.key]);
  if (event.key in STEPS && element("set-speed") && !element("set-speed").disabled) {
    element("set-speed").stepUp(STEPS[event.key]);
    setSpeed();
  } else if (button && !event.repeat && !button.disabled && !button.hidden) {
    write("refusal", "");
    buttons[KEYS[event.key]]();
  }
}

for (const id in buttons) {
  if (!element(id)) continue;
  element(id).addEventListener("click", () => {
    write("refusal", "");
    if (state) buttons[id]();
  });
}
if (element("set-speed")) {
  element("set-speed").addEventListener("input", showSetSpeed);
  element("set-speed").addEventListener("change", setSpeed);
}
document.addEventListener("keydown", onKey);
hands.watchMouse(element("frame"));
hands.watchPad(element("steering-pad"), "steering");
hands.watchPad(element("throttle-pad"), "throttle");
fetch("track").then((response) => response.json()).then((map) => { track = map; });
connect();
beat();
