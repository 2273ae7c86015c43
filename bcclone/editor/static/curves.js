"use strict";

// Draws the curves of a recording, and below them a strip that shows which parts can be used and
// where the findings are, on a canvas that is drawn when the view or what they show changes; the
// selection on another one under it, the playhead on a third one above it.

const LEFT = 34; // px left of the curves
const AXIS = 22; // px below them
const STRIP = 22; // px of the strip of parts and findings
const HATCH = 7; // px between the lines of a hatching
const GAP = 16; // px between curves
const PAUSE_SECONDS = 1.5; // that break a line
const ROW_SECONDS = 0.1; // that a row takes at most, where a pause follows it
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600]; // seconds
const SPEEDS = [1, 2, 5, 10, 20, 30, 40, 50, 60, 100, 200]; // mph, ends of the axis
const TICK_WIDTH = 64; // px between ticks, at least
const MARK_COLORS = ["bad", "wait", "violet", "teal", "sent"];
const USABLE = "as it is"; // of a part, as the server says it
const LINES = {
  steering: { color: "sent", width: 2 },
  model: { color: "model", width: 1.2, dash: [5, 3] },
  speed: { color: "text", width: 1.5 },
  throttle: { color: "text", width: 1.5 },
};

const letterOf = (index) => String.fromCharCode(65 + index % 26);
const markOf = (index) => MARK_COLORS[index % MARK_COLORS.length];
const lengthOf = (spans) => spans.reduce((rows, [first, last]) => rows + last - first + 1, 0);

class Curves {
  constructor(under, canvas, over) {
    this.under = under;
    this.canvas = canvas;
    this.over = over;
  }

  get scale() { // px a second
    return (this.width - LEFT) / (this.view.to - this.view.from);
  }

  xOf(seconds) {
    return LEFT + this.scale * (seconds - this.view.from);
  }

  secondsAt(x) {
    return this.view.from + (x - LEFT) / this.scale;
  }

  endOf(row) {
    return Math.min(this.seconds[row + 1] ?? Infinity, this.seconds[row] + ROW_SECONDS);
  }

  // columns: the curves by name; height: px of the steering.
  take(columns, height) {
    this.seconds = columns.seconds;
    this.pyramids = {};
    for (const name in LINES) {
      if (columns[name]) this.pyramids[name] = new Pyramid(columns[name]);
    }
    const range = (name) => this.pyramids[name]?.range(0, this.seconds.length) || [0, 0];
    const widest = Math.max(...range("steering").map(Math.abs));
    const reach = [0.2, 0.5, 1].find((step) => step >= widest) || 1;
    const [, highest] = range("speed");
    const fastest = SPEEDS.find((mph) => mph >= highest) || highest;
    const title = columns.model ? "steering, dashed: the model's" : "steering";
    const lanes = [
      { title, height, low: -reach, high: reach, names: ["steering", "model"] },
      { title: "speed, mph", height: height / 2, low: 0, high: fastest, names: ["speed"] },
      { title: "throttle", height: height / 2, low: -1, high: 1, names: ["throttle"] },
    ];
    this.lanes = lanes.filter((lane) => columns[lane.names[0]]);
  }

  // view: from and to in seconds; check: the state of the check; deleted: spans of rows.
  draw(view, check, deleted) {
    const lanesHeight = this.lanes.reduce((sum, lane) => sum + lane.height + GAP, GAP / 2);
    this.axisAt = lanesHeight + STRIP;
    for (const canvas of [this.under, this.canvas, this.over]) {
      canvas.style.height = `${this.axisAt + AXIS}px`;
    }
    const { context, width } = wipe(this.canvas);
    this.view = view;
    this.width = width;
    this.drawAxis(context);
    let top = GAP;
    for (const lane of this.lanes) {
      this.drawLane(context, top, lane);
      top += lane.height + GAP;
    }
    this.drawStrip(context, lanesHeight, check);
    this.drawDeleted(context, this.axisAt, deleted);
  }

  drawAxis(context) {
    const { from, to } = this.view;
    const step = TICKS.find((seconds) => seconds * this.scale >= TICK_WIDTH)
      || TICKS[TICKS.length - 1];
    context.textAlign = "center";
    for (let tick = Math.ceil(from / step); tick * step <= to; tick += 1) {
      const x = Math.round(this.xOf(tick * step));
      context.fillStyle = colors.line;
      context.fillRect(x, 0, 1, this.axisAt + 5);
      context.fillStyle = colors.quiet;
      if (x < this.width - 16) {
        context.fillText(clock(tick * step).replace(".0", ""), x, this.axisAt + 17);
      }
    }
  }

  drawLane(context, top, { title, height, low, high, names }) {
    const clamp = (value) => Math.min(Math.max(value, low), high);
    const y = (value) => top + height * (high - clamp(value)) / (high - low);
    context.fillStyle = colors.quiet;
    context.textAlign = "left";
    context.fillText(title, LEFT + 6, top - 4);
    context.textAlign = "right";
    for (const mark of [low, (low + high) / 2, high]) {
      const label = String(Number(mark.toFixed(1))).replace("-", "−");
      context.fillRect(LEFT, Math.round(y(mark)), this.width - LEFT, 0.5);
      context.fillText(label, LEFT - 6, y(mark) + 4);
    }
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, this.width - LEFT, this.axisAt);
    context.clip();
    for (const name of names) {
      if (this.pyramids[name]) this.drawLine(context, y, this.pyramids[name], LINES[name]);
    }
    context.restore();
    context.textAlign = "left";
  }

  // Goes from row to row, or, where several share a column of pixels, through their minimum and
  // maximum. y: value -> px.
  drawLine(context, y, pyramid, { color, width, dash = [] }) {
    context.strokeStyle = colors[color];
    context.lineWidth = width;
    context.lineJoin = "round";
    context.setLineDash(dash);
    context.beginPath();
    const end = Math.min(countUpTo(this.seconds, this.view.to) + 1, this.seconds.length);
    let row = Math.max(countUpTo(this.seconds, this.view.from) - 1, 0);
    let isBroken = true; // the line begins anew at this row
    while (row < end) {
      const x = this.xOf(this.seconds[row]);
      const nextPixel = this.secondsAt(Math.floor(x) + 1);
      const next = Math.max(row + 1, countUpTo(this.seconds, nextPixel));
      const [least, most] = pyramid.range(row, next);
      const isKnown = least <= most;
      const afterPause = this.seconds[row] - this.seconds[row - 1] > PAUSE_SECONDS;
      if (isKnown && (isBroken || afterPause)) context.moveTo(x, y(least));
      if (isKnown) context.lineTo(x, y(least));
      if (least < most) context.lineTo(x, y(most));
      isBroken = !isKnown;
      row = next;
    }
    context.stroke();
  }

  // Draws how far the check has come, then which parts can be used, and the findings with their
  // letters; of findings of the same rows, the shorter one lies above.
  drawStrip(context, top, { done, of, verdict, parts, findings }) {
    const height = STRIP - 4;
    const style = getComputedStyle(this.canvas);
    const color = (name) => style.getPropertyValue(`--${name}`);
    const all = [[0, this.seconds.length - 1]];
    if (!verdict && done) this.fillSpans(context, [[0, Math.min(done, of) - 1]], top, height, colors.line);
    const usable = parts.filter(([, , use]) => use === USABLE);
    this.fillSpans(context, usable, top + height - 4, 4, color("good"));
    const spansOf = ({ rows }) => (rows.length ? rows : all);
    const order = findings.map((finding) => ({ spans: spansOf(finding), place: finding.place }));
    order.sort((one, other) => lengthOf(other.spans) - lengthOf(one.spans));
    for (const { spans, place } of order) {
      this.fillSpans(context, spans, top, height, color(markOf(place)));
      this.writeLetter(context, top, letterOf(place), spans, color("raised"));
    }
  }

  // Writes the letter of a finding at its first span that is shown and wide enough.
  writeLetter(context, top, letter, spans, style) {
    const widthOfLetter = 12; // px
    for (const [first, last] of spans) {
      const from = Math.max(this.xOf(this.seconds[first]), LEFT);
      const to = Math.min(this.xOf(this.endOf(last)), this.width);
      if (to - from < widthOfLetter) continue;
      context.fillStyle = style;
      context.fillText(letter, from + 3, top + STRIP - 8);
      return;
    }
  }

  // Hatches the deleted rows.
  drawDeleted(context, height, deleted) {
    this.hatchSpans(context, deleted, height, "rgba(128, 128, 128, .4)", colors.quiet);
  }

  hatchSpans(context, spans, height, ground, lines) {
    context.save();
    this.fillSpans(context, spans, 0, height, ground);
    context.clip();
    context.beginPath();
    for (let x = LEFT - height; x < this.width; x += HATCH) {
      context.moveTo(x, height);
      context.lineTo(x + height, 0);
    }
    context.strokeStyle = lines;
    context.stroke();
    context.restore();
  }

  // Fills spans of rows, none of the pixels twice.
  fillSpans(context, spans, top, height, style) {
    let filledTo = LEFT;
    context.fillStyle = style;
    context.beginPath();
    for (const [first, last] of spans) {
      const from = this.xOf(this.seconds[first]);
      const to = Math.max(this.xOf(this.endOf(last)), from + 2);
      if (to <= filledTo || from > this.width) continue;
      const begin = Math.max(from, filledTo);
      context.rect(begin, top, Math.min(to, this.width) - begin, height);
      filledTo = to;
    }
    context.fill();
  }

  // Draws the selection, and the rows that the remedy under the pointer takes.
  drawUnder(selection, preview) {
    const { context } = wipe(this.under);
    context.globalAlpha = 0.35;
    this.fillSpans(context, selection, 0, this.axisAt + 5, colors.model);
    this.hatchSpans(context, preview, this.axisAt, "rgba(255, 112, 112, .5)", colors.text);
  }

  // Draws the playhead.
  drawOver(seconds) {
    const { context } = wipe(this.over);
    context.fillStyle = colors.text;
    const x = Math.round(this.xOf(seconds));
    if (x >= LEFT) context.fillRect(x - 1, 0, 2, this.axisAt + 5);
  }
}
