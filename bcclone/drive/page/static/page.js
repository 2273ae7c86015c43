"use strict";

// The page of a drive or of a play, over a websocket. docs/reference/page.md describes messages and fields. The page has
// only the elements that its session needs; write() ignores the others.

const RETRY_MS = 1000;
const HEARTBEAT_MS = 200; // the hands of a page that is silent for a second are off the wheel
const SHOW_MS = 90; // between two times that figures, dial, map and plots are drawn
const SETTLED_MS = 500; // after a change here, until the slider follows the server again
const ANNOUNCED_MS = 10000; // how long a screen reader finds what was announced
const PROGRAM = document.body.dataset.program;
const IN_WORLD = "world" in document.body.dataset; // a play in the built-in world; else a drive of a car that is served
const STATUS = {
  "connecting": "connecting", "lost": `${PROGRAM} does not answer`, "full": "too many pages are open: close one",
  "none": "waiting for the simulator", "handed over": "handed over: drive with the keys",
  "key held": "a driving key is held", "silent": "the simulator is silent: is it paused?",
  "watching": "you watch: another page drives", "paused": "paused: Esc drives on",
  "asleep": "the car has stopped: press a key", "human": "you drive", "model": "the model drives",
};
const STILL = ["paused", "asleep", "full"]; // why the picture stands still, which is written over it

let socket = null;
let retry = 0;
let state = null; // of the newest frame that was drawn
let track = null;
let points = []; // the history that the plots show
let cameraImage = null;
let maskImage = null;
let inputNumber = 0;
let sentAt = -Infinity;
let pressedAt = new Map(); // number of an input -> when its key was pressed
let settled = -Infinity; // when the slider was last moved here
let shownAt = -Infinity;
let shownStatus = "connecting";
let shownWarnings = [];
let shownFolder = ""; // of the recording that is on
let shownAsked = false;
let asking = false; // this page, for the wheel
let refused = false; // the wheel
let cutShort = ""; // the recording that was on when the server ended

const hands = new HandControls(sendHands);

// -- the connection

// Connects anew, unless the page of a drive is hidden: then it requests nothing. The car of a play needs its page.
function connect() {
  clearTimeout(retry);
  if (socket) socket.onclose = null;
  if (socket) socket.close();
  if (document.hidden && !IN_WORLD) return;
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`);
  socket.binaryType = "arraybuffer";
  let received = Promise.resolve(); // one after the other, since pictures are decoded at different speeds
  socket.onopen = () => { received = begin(); };
  socket.onmessage = (message) => { received = received.then(() => receive(message.data)); };
  socket.onclose = () => {
    showLost();
    explain();
    retry = setTimeout(connect, RETRY_MS);
  };
}

// Forgets a server that may have been restarted since, and fetches the points before the page was opened.
async function begin() {
  pressedAt = new Map();
  inputNumber = 0;
  points = [];
  state = cameraImage = maskImage = null;
  write("refusal", "");
  if (element("plot-speed")) points = await fetch("history").then((response) => response.json()).catch(() => []);
}

// Tells why there is no connection: the server asks for the token, was started again and loads, or has no room.
async function explain() {
  const answer = await fetch("room").catch(() => null);
  if (answer?.status === 401 || answer?.headers.has("Retry-After")) location.reload(); // shows the form, or that it loads
  else if (answer?.status === 503) showStatus("full");
}

function send(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function sendHands(values, event) {
  if (!state || !state.wheel.drives) return;
  inputNumber += 1;
  if (event && event.type === "keydown") pressedAt.set(inputNumber, event.timeStamp);
  sentAt = performance.now();
  send({ input: inputNumber, hands: values });
}

// Hands that hold still are sent again. Browsers draw no pictures for a tab that nobody sees, so that its car stops.
function beat() {
  hands.readGamepad();
  const held = Object.values(hands.hands).some((value) => value);
  if ((held || IN_WORLD) && performance.now() - sentAt > HEARTBEAT_MS) sendHands(hands.hands, null);
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
  const before = state;
  state = message;
  if (jpeg) cameraImage = await decode(cameraImage, "jpeg", new Uint8Array(data, pictures, jpeg));
  if (mask) maskImage = await decode(maskImage, "png", new Uint8Array(data, pictures + jpeg, mask));
  if (!message.saliency.on) maskImage = null;
  drawCamera(element("frame"), cameraImage, maskImage, message.region);
  send({ drawn: message.number });
  measure();
  remember();
  if (performance.now() - shownAt > SHOW_MS || isNews(before)) show();
}

// Returns the new image in place of the one before, which stays when the new one cannot be decoded: the warnings say so.
async function decode(before, type, bytes) {
  const image = await createImageBitmap(new Blob([bytes], { type: `image/${type}` })).catch(() => null);
  if (image && before) before.close();
  return image || before;
}

// Changes that are shown at once; nobody reads figures thirty times a second.
function isNews(before) {
  return !before || statusOf(before) !== statusOf(state) || before.wheel.asked !== state.wheel.asked
    || before.warnings.length !== state.warnings.length;
}

// Takes the time from keys to the first picture of the world with their effect.
function measure() {
  for (const [number, at] of pressedAt) {
    if (number > (state.input ?? Infinity)) break;
    pressedAt.delete(number);
    write("key-to-picture", fixed(performance.now() - at, 0));
  }
}

function remember() {
  if (!element("plot-speed")) return;
  if (state.steering_sent !== null && state.connection === "driving") {
    points.push({
      seconds: state.seconds, speed_mph: state.speed_mph, set_speed_mph: state.target_speed_mph,
      steering_model: state.steering_model, steering_sent: state.steering_sent, throttle: state.throttle,
      latency_ms: state.latency_ms.last || 0,
    });
  }
  points = points.filter((point) => point.seconds > state.seconds - HISTORY_SECONDS);
}

// -- what the page shows

// The key of STATUS for a state.
function statusOf(one) {
  if (IN_WORLD && !one.wheel.drives) return "watching";
  const status = IN_WORLD ? one.mode : one.connection;
  return status === "driving" ? one.driver : status;
}

function showStatus(status) {
  document.body.dataset.status = shownStatus = status;
  const taken = status === "human" && !IN_WORLD;
  write("connection-text", taken ? `a person steers: take-over ${state.take_over}` : STATUS[status] || status);
  if (element("guide")) element("guide").hidden = status !== "none";
  element("restart").hidden = status !== "lost";
  for (const id of ["frame", "hud"]) element(id).hidden = status === "none" || status === "lost";
  if (element("sees")) element("sees").hidden = element("frame").hidden;
  showOverFrame();
}

// Over the picture, where the person who drives looks: why it stands still, or else the first warning.
function showOverFrame() {
  const warning = IN_WORLD && state && state.warnings.length ? state.warnings[0].text : "";
  const text = STILL.includes(shownStatus) ? STATUS[shownStatus] : warning;
  element("over-frame").hidden = !text;
  write("over-frame", text);
}

// Without the server nothing is recorded, and no warning holds any more.
function showLost() {
  if (state && state.recording.on) {
    cutShort = `the recording ended with ${PROGRAM}; the rows in ${state.recording.folder} are whole, but for about the last second`;
    write("recording-text", cutShort);
    announce(cutShort);
  }
  state = null;
  shownFolder = "";
  shownWarnings = [];
  writeList(element("warnings"), []);
  element("no-warnings").hidden = false;
  element("recording-lamp").hidden = true;
  press("recording", false);
  write("dialect", "");
  showStatus("lost");
}

function announce(text) {
  write("announcement", text);
  setTimeout(() => { if (element("announcement").textContent === text) write("announcement", ""); }, ANNOUNCED_MS);
}

function show() {
  shownAt = performance.now();
  showStatus(statusOf(state));
  showFigures();
  if (IN_WORLD) showWorld();
  else showCar();
  showControls();
  showWheel();
  showWarnings();
  drawDial(element("dial"), state.steering_sent, state.steering_model);
  if (element("plot-speed")) drawPlots(points, state.seconds);
}

function showFigures() {
  write("steering-model", fixed(state.steering_model, 3));
  write("steering-sent", fixed(state.steering_sent, 3));
  const words = `sent ${fixed(state.steering_sent, 2)}, model ${fixed(state.steering_model, 2)}`;
  element("dial").setAttribute(
    "aria-label", `steering, −1 left to 1 right: ${state.steering_sent === null ? "nothing sent" : words}`);
  write("throttle", fixed(state.throttle, 2));
  write("speed", fixed(state.speed_mph, 1));
  write("target", fixed(state.target_speed_mph ?? state.set_speed_mph, 1));
  write("rate", state.frames_per_second || !IN_WORLD ? fixed(state.frames_per_second, IN_WORLD ? 0 : 1) : "–");
}

function showWorld() {
  const laps = state.laps;
  write("cross-track", fixed(state.cross_track_m, 1));
  write("lap", String(laps.lap));
  write("lap-time", clock(laps.seconds));
  write("last-lap", clock(laps.last));
  write("best-lap", clock(laps.best));
  write("hud", `${fixed(state.speed_mph, 0)} mph, lap ${laps.lap}: ${clock(laps.seconds)}`);
  write("factor", fixed(state.real_time_factor, 2));
  if (track) drawMap(element("map"), track, state);
}

function showCar() {
  const latency = state.latency_ms;
  write("dialect", state.dialect + (state.waiting_cars ? `, ${state.waiting_cars} more waiting` : ""));
  write("steering-degrees", state.steering_degrees === null ? "–" : `${fixed(state.steering_degrees, 1)}°`);
  write("latency", fixed(latency.last, 1));
  write("p50", fixed(latency.last === null ? null : latency.p50, 1));
  write("p99", fixed(latency.last === null ? null : latency.p99, 1));
  write("frames", state.frames.toLocaleString("en"));
  write("faults", String(state.faults));
  write("slow", latency.limit > 0 ? `${latency.slow} over ${latency.limit} ms` : "");
  write("corners", state.speed_rule);
}

function press(id, on) {
  if (element(id)) element(id).setAttribute("aria-pressed", String(on));
}

function showControls() {
  const { recording, saliency } = state;
  press("recording", recording.on);
  press("paused", state.mode === "paused");
  press("kept", state.kept);
  press("autonomous", !state.autonomous);
  press("saliency", saliency.on);
  for (const id of ["recording", "paused", "put-back", "kept", "autonomous", "saliency", "set-speed"]) {
    if (element(id)) element(id).disabled = shownStatus === "watching" || (id === "saliency" && saliency.unavailable !== "");
  }
  element("recording-lamp").hidden = !recording.on;
  const dropped = recording.dropped ? `, ${recording.dropped} dropped` : "";
  const failure = recording.failure ? `; ended: ${recording.failure}` : "";
  if (recording.on) cutShort = "";
  const rows = `${recording.folder}: ${recording.recorded} rows recorded${dropped}${failure}`;
  write("recording-text", recording.folder ? rows : cutShort || "nothing is recorded");
  write("saliency-text", saliency.unavailable && `the saliency overlay is not available: ${saliency.unavailable}`);
  write("model-hint", state.kept ? "You keep the wheel; M gives it to the model." : "The model drives while you do not steer.");
  const framed = state.region ? "Framed: what the network sees. " : "";
  const green = saliency.on ? "Green: the pixels that decided. " : "";
  const input = state.sees ? `Input: ${state.sees.replace("->", "→")}.` : "";
  write("sees", framed + green + input);
  const slider = element("set-speed");
  if (slider && performance.now() - settled > SETTLED_MS && !slider.matches(":active")) slider.value = state.set_speed_mph;
  showSetSpeed();
}

function showSetSpeed() {
  const slider = element("set-speed");
  if (!slider) return;
  write("set-speed-value", slider.value);
  slider.setAttribute("aria-valuetext", `${slider.value} mph`);
}

function showWheel() {
  const wheel = state.wheel;
  element("wheel").hidden = wheel.drives && !wheel.asked;
  element("ask").hidden = !IN_WORLD || wheel.drives || wheel.asking;
  element("give").hidden = element("keep").hidden = !wheel.asked;
  if (asking && !wheel.asking) refused = !wheel.drives;
  if (wheel.asking || wheel.drives) refused = false;
  asking = wheel.asking;
  let text = IN_WORLD ? "Another page drives; this one watches." : "Another page steers; it has the wheel until its keys are released.";
  if (refused) text = "The other page keeps the wheel; this one watches.";
  if (asking) text = "You have asked for the wheel; you get it within 10 s, unless the other page keeps it.";
  if (wheel.asked) text = "Another page asks for the wheel; it gets it in 10 s if you do not answer.";
  write("wheel-text", text);
}

function showWarnings() {
  const names = state.warnings.map((warning) => warning.text);
  const texts = state.warnings.map(({ text, count, seconds }) => {
    if (seconds === null) return text;
    return `${text}${count > 1 ? ` (${count} times)` : ""}, ${Math.max(0, Math.round(state.seconds - seconds))} s ago`;
  });
  // announced to screen readers in place of the list, of which they would read every new count
  const news = names.filter((text) => !shownWarnings.includes(text)).map((text) => `warning: ${text}`);
  const folder = state.recording.on ? state.recording.folder : "";
  if (folder !== shownFolder) news.push(folder ? `recording into ${folder}` : "the recording has ended");
  shownFolder = folder;
  if (state.wheel.asked && !shownAsked) news.push("another page asks for the wheel: G gives it, K keeps it");
  shownAsked = state.wheel.asked;
  if (news.length) announce(news.join("; "));
  shownWarnings = names;
  element("no-warnings").hidden = texts.length > 0;
  writeList(element("warnings"), texts);
}

// -- the controls

function setSpeed() {
  settled = performance.now();
  showSetSpeed();
  send({ set: { set_speed_mph: Number(element("set-speed").value) } });
}

const buttons = {
  "recording": () => send({ set: { recording: !state.recording.on } }),
  "paused": () => send({ set: { paused: state.mode !== "paused" } }),
  "put-back": () => send({ set: { put_back: true } }),
  "kept": () => send({ set: { kept: !state.kept } }),
  "autonomous": () => send({ set: { autonomous: !state.autonomous } }),
  "saliency": () => send({ set: { saliency: !state.saliency.on } }),
  "ask": () => send({ wheel: "ask" }),
  "give": () => send({ wheel: "give" }),
  "keep": () => send({ wheel: "keep" }),
};
const KEYS = {
  r: "recording", Escape: "paused", b: "put-back", m: IN_WORLD ? "kept" : "autonomous", v: "saliency", g: "give", k: "keep",
};
const STEPS = { "+": 1, "=": 1, "-": -1 };

function push(id) {
  write("refusal", "");
  if (state) buttons[id]();
}

function onKey(event) {
  if (!state || event.ctrlKey || event.metaKey || event.altKey) return;
  const slider = element("set-speed"), button = element(KEYS[event.key]);
  if (event.key in STEPS && slider && !slider.disabled) {
    slider.stepUp(STEPS[event.key]);
    setSpeed();
  } else if (button && !event.repeat && !button.disabled && !button.hidden) {
    push(KEYS[event.key]);
  }
}

for (const id in buttons) if (element(id)) element(id).addEventListener("click", () => push(id));
if (element("set-speed")) {
  element("set-speed").addEventListener("input", showSetSpeed);
  element("set-speed").addEventListener("change", setSpeed);
}
document.addEventListener("keydown", onKey);
if (!IN_WORLD) document.addEventListener("visibilitychange", connect);
hands.watchMouse(element("frame"));
hands.watchPad(element("steering-pad"), "steering");
hands.watchPad(element("throttle-pad"), "throttle");
if (IN_WORLD) fetch("track").then((response) => response.json()).then((map) => { track = map; });
connect();
beat();
