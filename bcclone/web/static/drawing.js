"use strict";

// Writes texts into elements, and draws the camera, the dial, the plots and the map on canvases.

const HISTORY_SECONDS = 60;

const element = (id) => document.getElementById(id);
let colors = readColors();
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => { colors = readColors(); });

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(["model", "sent", "line", "quiet", "text"].map((name) => [name, color(name)]));
}

// Writes a text into an element, if the page has it.
function write(id, text) {
  const target = element(id);
  if (target && target.textContent !== text) target.textContent = text;
}

// Return the canvas's context, ready to draw in CSS pixels, and its size.
function wipe(canvas) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  return { context, width, height };
}

function fixed(value, digits) {
  if (value === null || value === undefined) return "–";
  return value.toFixed(digits).replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−"); // no −0.0
}

function clock(seconds) {
  if (seconds === null) return "–";
  const tenths = Math.round(10 * seconds);
  return `${Math.floor(tenths / 600)}:${(tenths % 600 / 10).toFixed(1).padStart(4, "0")}`;
}

// -- the dial

// sent: the thick needle; model: the thin one; null: no needle.
function drawDial(canvas, sent, model) {
  const { context, width, height } = wipe(canvas);
  const x = width / 2, y = height - 18, radius = Math.min(height - 38, width / 2 - 20);
  const angle = (steering) => -Math.PI / 2 + steering * Math.PI / 2 * .9;
  context.lineWidth = 2;
  context.strokeStyle = colors.quiet;
  context.beginPath();
  context.arc(x, y, radius, angle(-1), angle(1));
  context.stroke();
  context.fillStyle = colors.quiet;
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
  needle(sent, radius - 26, 7, colors.sent);
  needle(model, radius - 10, 3, colors.model);
}

// -- the camera

// region: of the frame that the network sees, as fractions: left, top, right, bottom; null: it is not marked.
function drawCamera(canvas, image, mask, region) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!image) return;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  if (mask) context.drawImage(mask, 0, 0, canvas.width, canvas.height);
  if (!region) return;
  const [left, top, right, bottom] = region;
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

// -- the plots

function drawPlots(points, newest) {
  const highest = (...names) => Math.max(1, ...points.flatMap((point) => names.map((name) => point[name])));
  const widest = Math.max(.2, ...points.flatMap((p) => [Math.abs(p.steering_model), Math.abs(p.steering_sent)]));
  const reach = [.2, .5, 1].find((step) => step >= widest) || 1;
  const fastest = roundUp(highest("speed_mph", "set_speed_mph"));
  const plots = {
    steering: [[["steering_sent", colors.sent, 4], ["steering_model", colors.model, 1.5]], -reach, reach],
    speed: [[["set_speed_mph", colors.sent, 1], ["speed_mph", colors.text, 1.5]], 0, fastest],
    throttle: [[["throttle", colors.text, 1.5]], -1, 1],
    latency: [[["latency_ms", colors.text, 1.5]], 0, roundUp(highest("latency_ms"))],
  };
  for (const name in plots) drawPlot(element(`plot-${name}`), points, newest, ...plots[name]);
}

function roundUp(value) {
  return [1, 2, 5, 10, 20, 30, 40, 50, 60, 100, 200, 500, 1000].find((step) => step >= value) || value;
}

// lines: [field of the points, colour, width] each.
function drawPlot(canvas, points, newest, lines, low, high) {
  const { context, width, height } = wipe(canvas);
  const margin = 34, foot = 20;
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

// -- the map

// track: `line`, points of its centre line in metres; car: its `x_m`, `z_m`, `heading` and `driver`.
function drawMap(canvas, track, car) {
  const { context, width, height } = wipe(canvas);
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
  context.translate(x(car.x_m), y(car.z_m));
  context.rotate(car.heading);
  context.fillStyle = car.driver === "human" ? colors.sent : colors.model;
  context.beginPath();
  for (const point of [[0, -8], [5, 6], [-5, 6]]) context.lineTo(...point);
  context.fill();
  context.restore();
}

// -- lists

// Writes texts into a list, and changes only the items that differ, since screen readers read what changes.
function writeList(list, texts) {
  while (list.children.length > texts.length) list.lastChild.remove();
  while (list.children.length < texts.length) list.append(document.createElement("li"));
  texts.forEach((text, index) => {
    if (list.children[index].textContent !== text) list.children[index].textContent = text;
  });
}
