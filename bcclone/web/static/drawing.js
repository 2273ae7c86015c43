"use strict";

// What the pages share: texts in elements, colours, canvases, and the dial of the steering.

const element = (id) => document.getElementById(id);

// The colours of the style, which change with the browser's scheme.
let colors = readColors();
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => {
  colors = readColors();
});

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const names = ["model", "sent", "line", "quiet", "text"];
  return Object.fromEntries(
    names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// -- texts

// Writes a text into an element, if the page has it.
function write(id, text) {
  const target = element(id);
  if (target && target.textContent !== text) target.textContent = text;
}

// Returns a number with so many decimals, "–" without a number.
function fixed(value, digits) {
  if (value === null || value === undefined) return "–";
  const text = value.toFixed(digits);
  const withoutMinusZero = text.replace(/^-(?=0(\.0*)?$)/, "");
  return withoutMinusZero.replace("-", "−");
}

// Returns seconds as minutes, seconds and tenths: "1:02.5".
function clock(seconds) {
  if (seconds === null) return "–";
  const tenths = Math.round(10 * seconds);
  const minutes = Math.floor(tenths / 600);
  const rest = (tenths % 600 / 10).toFixed(1);
  return `${minutes}:${rest.padStart(4, "0")}`;
}

// -- canvases

// Returns the canvas's context, ready to draw in CSS pixels, and its size.
function wipe(canvas) {
  // the canvas has as many pixels as the screen shows of it
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const widthPx = Math.round(width * scale);
  const heightPx = Math.round(height * scale);
  if (canvas.width !== widthPx) canvas.width = widthPx;
  if (canvas.height !== heightPx) canvas.height = heightPx;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = `${getComputedStyle(canvas).fontSize} system-ui, sans-serif`;
  return { context, width, height };
}

// -- the dial

const DIAL_MARKS = [-1, -.5, 0, .5, 1];
const DIAL_TURN = Math.PI / 2 * .9; // of a needle at full steering

// sent: the thick needle; model: the thin one; null: no needle.
function drawDial(canvas, sent, model) {
  const { context, width, height } = wipe(canvas);
  const x = width / 2;
  const y = height - 18;
  const radius = Math.min(height - 38, width / 2 - 23);
  const angle = (steering) => -Math.PI / 2 + steering * DIAL_TURN;
  const line = (at, from, to) => {
    context.beginPath();
    context.moveTo(x + Math.cos(at) * from, y + Math.sin(at) * from);
    context.lineTo(x + Math.cos(at) * to, y + Math.sin(at) * to);
    context.stroke();
  };
  // the scale
  context.lineWidth = 2;
  context.strokeStyle = colors.quiet;
  context.beginPath();
  context.arc(x, y, radius, angle(-1), angle(1));
  context.stroke();
  context.fillStyle = colors.quiet;
  const sides = { "-1": "right", "0": "center", "1": "left" }; // where the text begins at its mark
  for (const mark of DIAL_MARKS) {
    const at = angle(mark);
    const text = String(mark).replace("-", "−");
    line(at, radius - 6, radius);
    context.textAlign = sides[Math.sign(mark)];
    context.fillText(text, x + Math.cos(at) * (radius + 5), y + Math.sin(at) * (radius + 9) + 4);
  }
  context.textAlign = "center";
  // the needles; one that is beyond the scale shows that it is
  const needle = (value, length, lineWidth, style) => {
    if (value === null || value === undefined) return;
    context.strokeStyle = style;
    context.lineWidth = lineWidth;
    line(angle(Math.min(Math.max(value, -1.05), 1.05)), 0, length);
  };
  needle(sent, radius - 26, 7, colors.sent);
  needle(model, radius - 10, 3, colors.model);
}
