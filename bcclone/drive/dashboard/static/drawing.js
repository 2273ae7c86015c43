"use strict";

// What the pages of drive.py and of bcclone play share: writing texts, drawing on canvases, the dial.

const element = (id) => document.getElementById(id);
let colors = readColors();
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => { colors = readColors(); });

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(["model", "sent", "line", "quiet", "text"].map((name) => [name, color(name)]));
}

function write(id, text) {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
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

// Writes texts into a list, and changes only the items that differ, since screen readers read what changes.
function writeList(list, texts) {
  while (list.children.length > texts.length) list.lastChild.remove();
  while (list.children.length < texts.length) list.append(document.createElement("li"));
  texts.forEach((text, index) => {
    if (list.children[index].textContent !== text) list.children[index].textContent = text;
  });
}
