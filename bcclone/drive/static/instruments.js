"use strict";

// Draws the camera and the map of a drive or a play on canvases.

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
