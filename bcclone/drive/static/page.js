"use strict";

// The page of a drive or of a play, over a websocket: receives frames and shows them, sends hands
// and controls. docs/reference/page.md describes the messages.

const RETRY_MS = 1000;
const HEARTBEAT_MS = 200; // the hands of a page that is silent for a second are off the wheel
const SHOW_MS = 90; // between two times that figures, dial and map are drawn
// the server sends ten messages a second or more, also when nothing moves
const SILENT_MS = 2000; // without a message, after which it is said that none comes
const LOOK_MS = 250; // between two looks whether that is so
const ANEW_MS = 15000; // after which a silent connection is made anew: its network may be another
const REFUSED_MS = 15000; // how long a refusal is shown

let socket = null;
let connectedAt = 0; // when it was made
let heardAt = performance.now(); // when the last message came
let retry = 0; // the timer of the next connection
let refused = 0; // the timer after which a refusal goes
let state = null; // of the newest frame that was drawn
const track = IN_WORLD ? JSON.parse(element("map").dataset.track) : null;
let cameraImage = null;
let overlayImage = null; // the saliency overlay
let inputSentAt = -Infinity;

const hands = new HandControls(sendHands);

// -- the connection

// Connects anew, unless the page of a drive is hidden: then it requests nothing. The car of a play
// needs its page.
function connect() {
  clearTimeout(retry);
  if (socket) {
    socket.onclose = null;
    socket.onmessage = null;
    socket.close();
  }
  if (document.hidden && !IN_WORLD) return;
  const address = new URL("socket", location); // below the page: a proxy may add a prefix
  address.protocol = address.protocol.replace("http", "ws");
  connectedAt = performance.now();
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  // one message after the other, since pictures are decoded at different speeds
  let received = Promise.resolve();
  socket.onopen = begin;
  socket.onmessage = (message) => {
    heardAt = performance.now();
    received = received.then(() => receive(message.data));
  };
  socket.onclose = () => {
    showLost();
    state = null;
    explain();
    retry = setTimeout(connect, RETRY_MS);
  };
}

// Forgets a server that may have been restarted since.
function begin() {
  state = null;
  cameraImage = null;
  overlayImage = null;
  write("refusal", "");
}

// Tells that the server is silent: it stands still, or the network has gone.
function watch() {
  const now = performance.now();
  const isExpected = socket && socket.readyState <= WebSocket.OPEN;
  const isKnown = shown.status === "lost" || shown.status === "ended";
  if (!isExpected || isKnown || now - heardAt < SILENT_MS) return;
  showFrozen(Math.round((now - heardAt) / 1000));
  state = null;
  if (now - connectedAt > ANEW_MS) connect();
}

// Tells why there is no connection: the server asks for the token, or was started again and loads.
async function explain() {
  const answer = await fetch("state").catch(() => null);
  if (!answer) return;
  if (answer.status === 401 || answer.headers.has("Retry-After")) {
    location.reload(); // shows the form, or that it loads
  }
}

function send(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

// -- frames

// Takes a message: the length of its state, the state as JSON, and the pictures that are new.
async function receive(data) {
  const length = new DataView(data).getUint32(0);
  const message = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  if (message.kind === "refusal") {
    refuse(message.error);
    return;
  }
  if (message.kind === "end") {
    shown.end = message;
    showLost();
    return;
  }
  shown.end = null;
  const before = state;
  state = message;
  await receivePictures(data, 4 + length, message.pictures);
  if (state !== message) return; // the connection was lost meanwhile
  if (!message.saliency.on) overlayImage = null;
  drawCamera(element("frame"), cameraImage, overlayImage, message.region);
  send({ drawn: message.number });
  const isDue = performance.now() - shown.at > SHOW_MS;
  if (isDue || isNews(before, state)) show(state, track);
}

// start: of the pictures in the data; lengths: of a JPEG of the camera and a PNG of the overlay, 0
// for one that is not new
async function receivePictures(data, start, [jpegLength, overlayLength]) {
  if (jpegLength) {
    const jpeg = new Uint8Array(data, start, jpegLength);
    cameraImage = await decode(cameraImage, "jpeg", jpeg);
  }
  if (overlayLength) {
    const overlay = new Uint8Array(data, start + jpegLength, overlayLength);
    overlayImage = await decode(overlayImage, "png", overlay);
  }
}

// Returns the new image in place of the one before, which stays when the new one cannot be decoded:
// the warnings say so.
async function decode(before, type, bytes) {
  const blob = new Blob([bytes], { type: `image/${type}` });
  const image = await createImageBitmap(blob).catch(() => null);
  if (image && before) before.close();
  return image || before;
}

// -- hands

function sendHands(values) {
  if (!state || !state.steers) return;
  inputSentAt = performance.now();
  send({ hands: values });
}

// Hands that hold still are sent again. Browsers draw no pictures for a tab that nobody sees, so
// that its car stops.
function beat() {
  hands.readGamepad();
  const areHeld = Object.values(hands.hands).some((value) => value);
  const isSilent = performance.now() - inputSentAt > HEARTBEAT_MS;
  if ((areHeld || IN_WORLD) && isSilent) sendHands(hands.hands);
  requestAnimationFrame(beat);
}

// -- controls

const BUTTONS = {
  "recording": () => send({ set: { recording: !state.recording.on } }),
  "paused": () => send({ set: { paused: state.mode !== "paused" } }),
  "put-back": () => send({ set: { put_back: true } }),
  "kept": () => send({ set: { kept: !state.kept } }),
  "autonomous": () => send({ set: { autonomous: !state.autonomous } }),
  "saliency": () => send({ set: { saliency: !state.saliency.on } }),
  "ask": () => send({ wheel: "ask" }),
};
const KEYS = {
  r: "recording",
  Escape: "paused",
  b: "put-back",
  m: IN_WORLD ? "kept" : "autonomous",
  v: "saliency",
};
const SPEED_KEYS = { "+": 1, "=": 1, "-": -1 };

// Shows over the picture why something cannot be done.
function refuse(reason) {
  write("refusal", reason);
  clearTimeout(refused);
  refused = setTimeout(() => write("refusal", ""), REFUSED_MS);
}

function push(id) {
  write("refusal", "");
  if (state) BUTTONS[id]();
}

function setSpeed() {
  if (!state) return;
  settledAt = performance.now();
  showSetSpeed();
  send({ set: { set_speed_mph: Number(element("set-speed").value) } });
}

function onKey(event) {
  if (!state || event.ctrlKey || event.metaKey || event.altKey) return;
  const slider = element("set-speed");
  const button = element(KEYS[event.key]);
  if (event.key in SPEED_KEYS && slider && !slider.disabled) {
    slider.stepUp(SPEED_KEYS[event.key]);
    setSpeed();
  } else if (button && !event.repeat && !button.disabled && !button.hidden) {
    push(KEYS[event.key]);
  }
}

// -- the start

for (const id in BUTTONS) {
  if (element(id)) element(id).addEventListener("click", () => push(id));
}
if (element("set-speed")) {
  element("set-speed").addEventListener("input", showSetSpeed);
  element("set-speed").addEventListener("change", setSpeed);
}
document.addEventListener("keydown", onKey);
addEventListener("online", connect); // the network is back: the old connection may have gone with it
if (!IN_WORLD) {
  document.addEventListener("visibilitychange", () => {
    heardAt = performance.now();
    connect();
  });
}
offerCopies();
hands.watchMouse(element("frame"));
hands.watchPad(element("steering-pad"), "steering");
hands.watchPad(element("throttle-pad"), "throttle");
connect();
setInterval(watch, LOOK_MS);
beat();
