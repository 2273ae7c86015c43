"use strict";

// Draws the camera, the plots and the map of a drive or a play on canvases.

const HISTORY_SECONDS = 60; // that the plots show

// -- the camera

const SHADE = "rgba(8, 12, 16, .45)"; // over what the network does not see

// image: of the camera, null without one; overlay: the saliency overlay, null without one
// region: of the frame that the network sees, as fractions: left, top, right, bottom; null: it is
// not marked
function drawCamera(canvas, image, overlay, region) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  if (!image) return;
  context.drawImage(image, 0, 0, width, height);
  if (overlay) context.drawImage(overlay, 0, 0, width, height);
  if (region) markRegion(context, width, height, region);
}

// Frames what the network sees, and shades the rest.
function markRegion(context, width, height, region) {
  const left = region[0] * width;
  const top = region[1] * height;
  const seenWidth = (region[2] - region[0]) * width;
  const seenHeight = (region[3] - region[1]) * height;
  context.fillStyle = SHADE;
  context.fillRect(0, 0, width, top);
  context.fillRect(0, top + seenHeight, width, height - top - seenHeight);
  context.fillRect(0, top, left, seenHeight);
  context.fillRect(left + seenWidth, top, width - left - seenWidth, seenHeight);
  context.strokeStyle = colors.model;
  context.strokeRect(left + .5, top + .5, seenWidth - 1, seenHeight - 1);
}

// -- the plots

const STEERING_REACHES = [.2, .5, 1]; // how far the axis of the steering goes
const PLOT_MARGIN = 34; // left of a plot, for the numbers
const PLOT_HEAD = 6; // above a plot
const PLOT_FOOT = 20; // below a plot, for the times
const GAP_SECONDS = 1; // between two points, which no line crosses

// points: of the last seconds; newest: the time at the right end, in seconds
function drawPlots(points, newest) {
  const highest = (...names) => Math.max(
    1, ...points.flatMap((point) => names.map((name) => point[name])));
  const widest = Math.max(.2, ...points.flatMap(
    (point) => [Math.abs(point.steering_model), Math.abs(point.steering_sent)]));
  const reach = STEERING_REACHES.find((step) => step >= widest) || 1;
  const fastest = roundUp(highest("speed_mph", "set_speed_mph"));
  const slowest = roundUp(highest("latency_ms"));
  const line = (name, style, lineWidth) => ({ name, style, lineWidth });
  const plot = (name, lines, low, high) => {
    drawPlot(element(`plot-${name}`), points, newest, lines, low, high);
  };
  plot("steering", [
    line("steering_sent", colors.sent, 4), line("steering_model", colors.model, 1.5),
  ], -reach, reach);
  plot("speed", [
    line("set_speed_mph", colors.sent, 1), line("speed_mph", colors.text, 1.5),
  ], 0, fastest);
  plot("throttle", [line("throttle", colors.text, 1.5)], -1, 1);
  plot("latency", [line("latency_ms", colors.text, 1.5)], 0, slowest);
}

// lines: {name, style, lineWidth} each; low, high: ends of the axis
function drawPlot(canvas, points, newest, lines, low, high) {
  const { context, width, height } = wipe(canvas);
  const plotWidth = width - PLOT_MARGIN;
  const plotHeight = height - PLOT_HEAD - PLOT_FOOT;
  const x = (seconds) => PLOT_MARGIN + plotWidth * (1 - (newest - seconds) / HISTORY_SECONDS);
  const y = (value) => {
    const within = Math.min(Math.max(value, low), high);
    return PLOT_HEAD + plotHeight * (1 - (within - low) / (high - low));
  };
  // the axes
  context.textAlign = "right";
  context.lineWidth = 1;
  for (const mark of [low, (low + high) / 2, high]) {
    context.strokeStyle = colors.line;
    context.beginPath();
    context.moveTo(PLOT_MARGIN, y(mark));
    context.lineTo(width, y(mark));
    context.stroke();
    const text = String(Number(mark.toFixed(1))).replace("-", "−");
    context.fillStyle = colors.quiet;
    context.fillText(text, PLOT_MARGIN - 6, y(mark) + 4);
  }
  context.fillText("now", width, height - 3);
  context.textAlign = "left";
  context.fillText(`${HISTORY_SECONDS} s ago`, PLOT_MARGIN, height - 3);
  // the lines
  context.lineJoin = "round";
  for (const { name, style, lineWidth } of lines) {
    context.strokeStyle = style;
    context.lineWidth = lineWidth;
    drawLine(context, points, name, x, y);
  }
}

// Draws a field of the points, with gaps where it is null or where there are no points.
function drawLine(context, points, name, x, y) {
  let last = null;
  context.beginPath();
  for (const point of points) {
    const value = point[name];
    if (value === null) {
      last = null;
    } else {
      const begins = last === null || point.seconds - last > GAP_SECONDS;
      if (begins) context.moveTo(x(point.seconds), y(value));
      else context.lineTo(x(point.seconds), y(value));
      last = point.seconds;
    }
  }
  context.stroke();
}

// -- the map

const MAP_MARGIN = 8; // around the track
const CAR_CORNERS = [[0, -8], [5, 6], [-5, 6]]; // of a triangle that heads up

// track: `line`, points of its centre line in metres; car: its `x_m`, `z_m`, `heading`, `driver`
function drawMap(canvas, track, car) {
  const { context, width, height } = wipe(canvas);
  const xs = track.line.map(([x]) => x);
  const zs = track.line.map(([, z]) => z);
  const left = Math.min(...xs);
  const right = Math.max(...xs);
  const bottom = Math.min(...zs);
  const top = Math.max(...zs);
  const scale = Math.min(
    (width - 2 * MAP_MARGIN) / (right - left), (height - 2 * MAP_MARGIN) / (top - bottom));
  const x = (value) => width / 2 + (value - (left + right) / 2) * scale;
  const y = (value) => height / 2 - (value - (bottom + top) / 2) * scale;
  // the track
  context.strokeStyle = colors.quiet;
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.beginPath();
  for (const [lineX, lineZ] of track.line) context.lineTo(x(lineX), y(lineZ));
  context.closePath();
  context.stroke();
  // the car
  context.save();
  context.translate(x(car.x_m), y(car.z_m));
  context.rotate(car.heading);
  context.fillStyle = car.driver === "human" ? colors.sent : colors.model;
  context.beginPath();
  for (const [cornerX, cornerY] of CAR_CORNERS) context.lineTo(cornerX, cornerY);
  context.fill();
  context.restore();
}
