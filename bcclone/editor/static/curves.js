"use strict";

// Draws the curves of a recording and a row of marks for each finding on a canvas that is drawn when the view or what
// they show changes; the playhead and the selection on another one above it.

const LEFT = 34, AXIS = 22, MARK = 14, GAP = 16; // px: left of the curves, below them, row of marks, between curves
const PAUSE_SECONDS = 1.5; // that break a line
const ROW_SECONDS = .1; // that a row takes at most, where a pause follows it
const TICKS = [.1, .2, .5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
const MARK_COLORS = ["bad", "wait", "model", "good", "sent"];
const LINES = { steering: ["sent", 2], model: ["model", 1.2, [5, 3]], speed: ["text", 1.5], throttle: ["text", 1.5] };

// Minima and maxima of 2, 4, 8 and more values, which tell those of any range. NaN counts for nothing.
class Pyramid {
  constructor(values) {
    const size = values.length;
    const low = new Float32Array(2 * size).fill(Infinity), high = new Float32Array(2 * size).fill(-Infinity);
    values.forEach((value, row) => { if (!Number.isNaN(value)) low[size + row] = high[size + row] = value; });
    for (let node = size - 1; node > 0; node -= 1) {
      low[node] = Math.min(low[2 * node], low[2 * node + 1]);
      high[node] = Math.max(high[2 * node], high[2 * node + 1]);
    }
    Object.assign(this, { size, low, high });
  }

  // Returns minimum and maximum from first to before end; Infinity and -Infinity where there is no value.
  range(first, end) {
    let least = Infinity, most = -Infinity;
    for (let left = this.size + first, right = this.size + end; left < right; left = (left + 1) >> 1, right >>= 1) {
      least = Math.min(least, this.low[left], this.low[right - 1]); // either may be of a pair that is not in the range
      most = Math.max(most, this.high[left], this.high[right - 1]);
    }
    return [least, most];
  }
}

// Returns how many of some ascending values are up to the limit.
function countUpTo(values, limit) {
  let first = 0, end = values.length;
  while (first < end) {
    const middle = (first + end) >> 1;
    if (values[middle] > limit) end = middle;
    else first = middle + 1;
  }
  return first;
}

class Curves {
  xOf = (seconds) => LEFT + (this.width - LEFT) * (seconds - this.view.from) / (this.view.to - this.view.from);
  secondsAt = (x) => this.view.from + (x - LEFT) / (this.width - LEFT) * (this.view.to - this.view.from);
  endOf = (row) => Math.min(this.seconds[row + 1] ?? Infinity, this.seconds[row] + ROW_SECONDS);

  constructor(canvas, over) {
    Object.assign(this, { canvas, over });
  }

  take(columns, height) {
    Object.assign(this, { seconds: columns.seconds, pyramids: {} });
    for (const name in LINES) if (columns[name]) this.pyramids[name] = new Pyramid(columns[name]);
    const range = (name) => this.pyramids[name]?.range(0, this.seconds.length) || [0, 0];
    const widest = Math.max(...range("steering").map(Math.abs));
    const reach = [.2, .5, 1].find((step) => step >= widest) || 1;
    const fastest = roundUp(range("speed")[1]);
    const lanes = [ // title, height, lowest and highest value, lines
      [columns.model ? "steering, dashed: the model's" : "steering", height, -reach, reach, "steering", "model"],
      ["speed, mph", height / 2, 0, fastest, "speed"], ["throttle", height / 2, -1, 1, "throttle"],
    ];
    this.lanes = lanes.filter(([, , , , name]) => columns[name]);
  }

  // view: from and to in seconds; marks: spans of rows for each finding; deleted: spans of rows.
  draw(view, marks, deleted) {
    const bottom = this.lanes.reduce((sum, [, height]) => sum + height + GAP, GAP / 2);
    this.axisAt = bottom + marks.length * MARK;
    for (const canvas of [this.canvas, this.over]) canvas.style.height = `${this.axisAt + AXIS}px`;
    const { context, width } = wipe(this.canvas), style = getComputedStyle(this.canvas);
    Object.assign(this, { view, width });
    this.drawAxis(context);
    this.lanes.reduce((top, lane) => this.drawLane(context, top, ...lane), GAP);
    marks.forEach((spans, index) => {
      const top = bottom + index * MARK, color = MARK_COLORS[index % MARK_COLORS.length];
      this.fillSpans(context, spans, top, MARK - 3, style.getPropertyValue(`--${color}`));
      context.fillStyle = colors.text;
      context.fillText(letterOf(index), LEFT - 16, top + 10);
    });
    context.save();
    this.fillSpans(context, deleted, 0, bottom, "rgba(128, 128, 128, .4)");
    context.clip();
    context.beginPath();
    for (let x = LEFT - bottom; x < width; x += 7) {
      context.moveTo(x, bottom);
      context.lineTo(x + bottom, 0);
    }
    context.strokeStyle = colors.quiet;
    context.stroke();
    context.restore();
  }

  drawAxis(context) {
    const scale = (this.width - LEFT) / (this.view.to - this.view.from);
    const step = TICKS.find((one) => one * scale >= 64) || TICKS[TICKS.length - 1];
    context.textAlign = "center";
    for (let tick = Math.ceil(this.view.from / step); tick * step <= this.view.to; tick += 1) {
      const x = Math.round(this.xOf(tick * step));
      context.fillStyle = colors.line;
      context.fillRect(x, 0, 1, this.axisAt + 5);
      context.fillStyle = colors.quiet;
      if (x < this.width - 16) context.fillText(clock(tick * step).replace(".0", ""), x, this.axisAt + 17);
    }
  }

  // Returns where the next one begins.
  drawLane(context, top, title, height, low, high, ...names) {
    const y = (value) => top + height * (high - Math.min(Math.max(value, low), high)) / (high - low);
    context.fillStyle = colors.quiet;
    context.textAlign = "left";
    context.fillText(title, LEFT + 6, top - 4);
    context.textAlign = "right";
    for (const mark of [low, (low + high) / 2, high]) {
      context.fillRect(LEFT, Math.round(y(mark)), this.width - LEFT, .5);
      context.fillText(String(Number(mark.toFixed(1))).replace("-", "−"), LEFT - 6, y(mark) + 4);
    }
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, this.width - LEFT, this.axisAt);
    context.clip();
    for (const name of names) if (this.pyramids[name]) this.drawLine(context, y, this.pyramids[name], ...LINES[name]);
    context.restore();
    context.textAlign = "left";
    return top + height + GAP;
  }

  // Goes from row to row, or, where several share a column of pixels, through their minimum and maximum.
  drawLine(context, y, pyramid, color, lineWidth, dash = []) {
    Object.assign(context, { strokeStyle: colors[color], lineWidth, lineJoin: "round" });
    context.setLineDash(dash);
    context.beginPath();
    const end = Math.min(countUpTo(this.seconds, this.view.to) + 1, this.seconds.length);
    let broken = true, next = Math.max(countUpTo(this.seconds, this.view.from) - 1, 0);
    for (let row = next; row < end; row = next) {
      const x = this.xOf(this.seconds[row]);
      next = Math.max(row + 1, countUpTo(this.seconds, this.secondsAt(Math.floor(x) + 1)));
      const [least, most] = pyramid.range(row, next);
      broken = broken || this.seconds[row] - this.seconds[row - 1] > PAUSE_SECONDS;
      if (least <= most && broken) context.moveTo(x, y(least));
      if (least <= most) context.lineTo(x, y(least));
      if (least < most) context.lineTo(x, y(most));
      broken = least > most;
    }
    context.stroke();
  }

  // Fills spans of rows, none of the pixels twice.
  fillSpans(context, spans, top, height, style) {
    let done = LEFT;
    context.fillStyle = style;
    context.beginPath();
    for (const [first, last] of spans) {
      const from = this.xOf(this.seconds[first]), to = Math.max(this.xOf(this.endOf(last)), from + 2);
      if (to <= done || from > this.width) continue;
      context.rect(Math.max(from, done), top, Math.min(to, this.width) - Math.max(from, done), height);
      done = to;
    }
    context.fill();
  }

  drawOver(seconds, selection) {
    const { context } = wipe(this.over), x = Math.round(this.xOf(seconds));
    context.globalAlpha = .3;
    this.fillSpans(context, selection, 0, this.axisAt + 5, colors.model);
    context.globalAlpha = 1;
    context.fillStyle = colors.text;
    if (x >= LEFT) context.fillRect(x - 1, 0, 2, this.axisAt + 5);
  }
}
