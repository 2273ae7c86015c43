// Drives with the real JavaScript client of Socket.IO 2, 3 or 4:
//   node drive.js VERSION URL ROUNDS < JPEG-IN-BASE64
// Prints {"steers":N,"manuals":1}, or one line of what went wrong and exits with 1.
"use strict";

const [version, url, rounds] = process.argv.slice(2);
const client = require(`socketio${version}`);
const image = require("fs").readFileSync(0, "latin1").trim();
const telemetry = { steering_angle: "-3.7500", throttle: "0.3000", speed: "12.5000", image };
const half = Math.ceil(rounds / 2);

const counts = { steers: 0, manuals: 0 };
let expected = "connect";
let finished = false;

function fail(what) {
  console.error(what);
  process.exit(1);
}

const silence = setTimeout(() => fail(`10 s of silence; expected ${expected}, had ${JSON.stringify(counts)}`), 10_000);

const socket = (client.io || client)(url, {
  transports: ["websocket"],
  reconnection: false,
});

function came(event) {
  if (event !== expected) fail(`${event} came, expected ${expected}, had ${JSON.stringify(counts)}`);
  silence.refresh();
}

function send(payload, answer) {
  expected = answer;
  socket.emit("telemetry", payload);
}

// Half of the rounds, by hand once, the other half.
function next() {
  if (counts.steers < half) send(telemetry, "steer");
  else if (counts.manuals < 1) send(null, "manual");
  else if (counts.steers < rounds) send(telemetry, "steer");
  else {
    finished = true;
    socket.disconnect();
  }
}

function isControl(text) {
  return typeof text === "string" && text !== "" && Math.abs(Number(text)) <= 1; // NaN is not
}

socket.on("connect", () => {
  came("connect");
  next();
});

socket.on("steer", (fields, ...more) => {
  came("steer");
  const names = Object.keys(fields).sort().join();
  if (more.length || names !== "steering_angle,throttle" || !Object.values(fields).every(isControl))
    fail(`a steer that is none: ${JSON.stringify([fields, ...more])}`);
  counts.steers += 1;
  next();
});

socket.on("manual", () => {
  came("manual");
  counts.manuals += 1;
  next();
});

socket.on("disconnect", (reason) => {
  if (!finished) fail(`disconnected: ${reason}`);
  silence.unref(); // node ends as soon as the socket is closed
  console.log(JSON.stringify(counts));
});

for (const event of ["error", "connect_error", "connect_timeout"])
  socket.on(event, (error) => fail(`${event}: ${(error && error.message) || error}`));
