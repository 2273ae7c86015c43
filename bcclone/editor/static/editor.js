"use strict";

// The page of one or two recordings: plays them, shows what the checker found, and cuts. They share the playhead and
// the part of the drive that the curves show, in seconds since the first row of each.

const POLL_MS = 1000, BUSY_POLL_MS = 300, WORDS_MS = 100; // nobody reads figures sixty times a second
const LONGEST_MS = 300; // between two pictures: a page that was hidden plays on where it was
const AHEAD = 4; // rows that are fetched before they are played
const CLICK = 4, GRIP = 7; // px that a click may move, and at which the end of a selection is dragged
const LEAST_THROTTLE = .02; // of a car that drives
const LOW = 800; // px of a window in which curves are lower
const FIGURES = { steering: 2, model: 2, speed: 1, throttle: 2 }; // digits
const DRIVERS = ["", "a person drives", "the model drives"];

let panels = [], active = null; // the one that was used last, which is edited
let view = { from: 0, to: Infinity }, playhead = 0;
let playing = false, waking = false, tickedAt = 0;

const letterOf = (index) => String.fromCharCode(65 + index % 26);
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const list = (...texts) => texts.filter(Boolean).join("; ");
const make = (tag, text, onclick) => Object.assign(document.createElement(tag), { textContent: text, onclick });

function announce(text, bad = false) {
  write("message", text);
  element("message").classList.toggle("bad", bad);
}

// A server that is there again may have other recordings; one that asks for the token shows its form.
function showLost(response) {
  if (response?.status === 401 || (response && !element("lost").hidden)) location.reload();
  element("lost").hidden = Boolean(response);
}

class Panel {
  constructor(number, info) {
    const deleted = new Uint8Array(info.rows); // 1: it is
    Object.assign(this, { number, info, deleted, row: 0, selection: [], edits: 0, wordsAt: 0, asked: Promise.resolve() });
    this.root = element("panel").content.cloneNode(true).firstElementChild;
    const parts = [...this.root.querySelectorAll("[data-part]")];
    this.parts = Object.fromEntries(parts.map((part) => [part.dataset.part, part]));
    this.curves = new Curves(this.parts.curves, this.parts.slider);
    this.frames = new Frames(`frames/${number}`, (row, pictures) => this.showPictures(row, pictures));
    for (const camera of info.cameras) this.parts[camera].hidden = false;
    this.parts.cameras.classList.toggle("several", info.cameras.length > 1);
    this.parts.name.textContent = info.name;
    this.parts.slider.setAttribute("aria-label", `playhead of ${info.name}`);
    this.parts.slider.setAttribute("aria-valuemax", info.rows);
    element("panels").append(this.root);
    for (const type of ["pointerdown", "focusin"]) this.root.addEventListener(type, () => activate(this));
    new ResizeObserver(() => pan(0)).observe(this.parts.slider.parentElement);
    this.frames.want([0]);
    this.poll();
  }

  // -- the server

  async poll() {
    const edits = this.edits;
    const response = await fetch(`state/${this.number}`).catch(() => null);
    showLost(response);
    const text = response?.ok && await response.text().catch(() => "");
    const isOlder = this.asking || edits !== this.edits; // than the answer to an edit
    if (text && !isOlder && text !== this.polled) this.take(JSON.parse(this.polled = text), "changed elsewhere");
    if (this.state && this.state.curves !== this.shownCurves) await this.fetchCurves().catch(() => null);
    const { check, model } = this.state || {};
    const busy = response && check && (!check.verdict || check.stale || model.done < model.of);
    setTimeout(() => this.poll(), busy ? BUSY_POLL_MS : POLL_MS);
  }

  // news: what is announced if it has other edits.
  take(state, news) {
    if (this.state && this.state.version !== state.version) announce(news);
    this.state = state;
    this.deleted.fill(0);
    for (const [first, last] of state.deleted) this.deleted.fill(1, first, last + 1);
    this.showState();
    this.drawCurves();
  }

  async fetchCurves() {
    const { curves } = this.state, { head, take } = await readBinary(`curves/${this.number}`);
    const array = ([name, type, rows]) => [name, new (type === "u4" ? Uint32Array : Float32Array)(take(4 * rows))];
    this.columns = Object.fromEntries(head.columns.map(array));
    this.curves.take(this.columns, panels.length > 1 || innerHeight < LOW ? 72 : 104);
    if (!this.shownCurves) watchCurves(this);
    if (!this.shownCurves) view.to = Infinity;
    this.shownCurves = curves;
    pan(0);
  }

  // One edit after the other, since each is made of the state that the one before leaves.
  edit(change, words) {
    const { version } = this.state; // of the findings whose buttons are pressed
    this.asked = this.asked.then(() => this.ask("remedy" in change ? { version, ...change } : change, words));
  }

  async ask(change, words) {
    this.edits += 1;
    this.asking = true;
    const body = JSON.stringify({ version: this.state.version, ...change });
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(`edit/${this.number}`, { method: "POST", headers, body }).catch(() => null);
    const answer = await response?.json().catch(() => ({ error: `nothing was edited: error ${response.status}` }));
    this.edits += 1;
    this.asking = false;
    if (response?.ok) this.take(answer, `${words}; ${count(answer.kept, "row")} kept`);
    if (answer?.state) this.take(answer.state, "");
    if (answer?.error) announce(answer.error, true);
  }

  // -- what was found

  showState() {
    const { check, model, kept, steering, edits } = this.state, { parts, info } = this;
    const share = ({ done, of }) => (done < of ? `${Math.floor(100 * done / of)} %` : "");
    const rows = `${kept.toLocaleString("en")} of ${count(info.rows, "row")} kept; ${clock(info.seconds)} in all`;
    parts.kept.textContent = list(rows, steering && `steering ${steering}`, edits && count(edits, "edit"));
    parts.verdict.textContent = list(check.verdict, (!check.verdict || check.stale) && `checking ${share(check)}`);
    const about = model.error || share(model) || (model.apart.length ? "steers most differently at" : "steers alike");
    parts.model.textContent = info.model && `${info.model}: ${about}`;
    const buttons = () => [...this.root.querySelectorAll("button")];
    const focused = buttons().indexOf(document.activeElement);
    parts.findings.replaceChildren(...check.findings.map(({ fault, text, rows: spans, remedy, button }, index) => {
      const item = make("li"), sentence = make("button", text, () => goToSpans(this, spans));
      Object.assign(sentence, { className: "sentence", title: remedy });
      item.append(make("b", letterOf(index)), sentence);
      if (button) item.append(make("button", button, () => this.edit({ remedy: fault }, `done: ${button}`)));
      return item;
    }), ...check.unknown.map((text) => make("li", `not known: ${text}`)));
    parts.apart.replaceChildren(...model.apart.map(({ first, last, seconds, difference }) => (
      make("button", `${clock(seconds)} by ${fixed(difference, 2)}`, () => goToSpans(this, [[first, last]])))));
    buttons()[focused]?.focus();
  }

  // Returns the spans of rows of each finding.
  marks = () => this.state.check.findings.map(({ rows }) => (rows.length ? rows : [[0, this.info.rows - 1]]));

  drawCurves() {
    if (!this.columns) return;
    this.curves.draw(view, this.marks(), this.state.deleted);
    this.drawn = null;
    wake();
  }

  // -- the playhead

  rowAt = (seconds) => (this.columns ? Math.max(countUpTo(this.columns.seconds, seconds) - 1, 0) : 0);

  // Returns the first row from this one on that is played, or -1.
  playedFrom = (row) => (element("all").checked && row < this.info.rows ? row : this.deleted.indexOf(0, row));

  show(now) {
    if (!this.columns) return;
    const { columns, row, parts } = this, deleted = Boolean(this.deleted[row]);
    const known = Object.keys(FIGURES).filter((name) => Number.isFinite(columns[name]?.[row]));
    this.curves.drawOver(columns.seconds[row], this.selection);
    if (row !== this.drawn) {
      const rows = [row];
      while (playing && rows.length <= AHEAD && rows[0] >= 0) rows.unshift(this.playedFrom(rows[0] + 1));
      this.frames.want(rows.reverse().filter((one) => one >= 0));
      drawDial(parts.dial, columns.steering[row], known.includes("model") ? columns.model[row] : null);
      parts.over.hidden = !deleted;
      this.drawn = row;
    }
    if (now - this.wordsAt < WORDS_MS) return wake();
    this.wordsAt = now;
    const words = list(
      `row ${row + 1}`, columns.record && `record ${columns.record[row]}`, clock(columns.seconds[row]), deleted && "deleted",
      ...known.map((name) => `${name} ${fixed(columns[name][row], FIGURES[name])}${name === "speed" ? " mph" : ""}`),
      columns.take_over[row] && `take-over ${columns.take_over[row]}`, DRIVERS[columns.driver[row]]);
    parts.figures.textContent = words;
    parts.slider.setAttribute("aria-valuenow", row + 1);
    parts.slider.setAttribute("aria-valuetext", words);
  }

  showPictures(row, pictures) {
    this.info.cameras.forEach((camera, index) => {
      const canvas = this.parts[camera], picture = pictures[index], context = canvas.getContext("2d");
      [canvas.width, canvas.height] = picture ? [picture.width, picture.height] : [320, 160];
      Object.assign(context, { fillStyle: colors.sent, strokeStyle: colors.sent, lineWidth: 2 });
      if (picture) context.drawImage(picture, 0, 0);
      else context.fillText("no picture", 12, 20);
      canvas.dataset.row = row;
      const curvature = this.columns?.path?.[row];
      if (camera !== "center" || !Number.isFinite(curvature)) return;
      context.scale(canvas.width / 320, canvas.height / 160);
      for (let z = 1.6; z <= 16; z += .4) {
        const right = curvature * (z * z / 2 + this.info.ahead * z);
        const [column, line, depth] = this.info.camera.map(([x, y, ahead]) => x * right + y + ahead * z);
        context.lineTo(column / depth, line / depth);
      }
      context.stroke();
    });
  }
}

// -- view and playhead

const lastSecond = () => Math.max(...panels.map(({ columns }) => columns?.seconds[columns.seconds.length - 1] ?? 0));
const pan = (seconds) => look(view.from + seconds, view.to - view.from);
const zoom = (factor, at = playhead) => look(at - (at - view.from) * factor, (view.to - view.from) * factor);

function look(from, span) {
  const total = Math.max(lastSecond(), .1), shown = Math.min(Math.max(span, .5), total);
  const begin = Math.min(Math.max(from, 0), total - shown);
  view = { from: begin, to: begin + shown };
  for (const panel of panels) {
    Object.assign(panel.parts.scroll, { max: total - shown, value: begin, disabled: shown === total });
    panel.drawCurves();
  }
}

function moveTo(seconds) {
  playhead = seconds;
  for (const panel of panels) panel.row = panel.rowAt(seconds);
  const span = view.to - view.from;
  if (seconds < view.from || seconds > view.to) look(seconds - span * (seconds < view.from ? .9 : .1), span);
  wake();
}

function goTo(panel, row) {
  if (!panel.columns) return;
  const there = Math.min(Math.max(row, 0), panel.info.rows - 1);
  moveTo(panel.columns.seconds[there]);
  panel.row = there; // of several at the same time
}

// Selects spans of rows, if there are any, and goes to the first.
function goToSpans(panel, spans) {
  activate(panel);
  select(spans);
  goTo(panel, spans.length ? spans[0][0] : 0);
}

function wake() {
  if (!waking) requestAnimationFrame(tick);
  waking = true;
}

function tick(now) {
  waking = false;
  if (playing) play(Math.min(now - tickedAt, LONGEST_MS) / 1000 * Number(element("speed").value));
  tickedAt = now;
  for (const panel of panels) panel.show(now);
  if (playing) wake();
}

function play(seconds) {
  moveTo(Math.min(playhead + seconds, lastSecond()));
  const row = active.playedFrom(active.row);
  if (row < 0 || playhead === lastSecond()) setPlaying(false);
  else if (row !== active.row) goTo(active, row);
}

function setPlaying(on) {
  playing = on;
  tickedAt = performance.now();
  write("play", on ? "Pause" : "Play");
  if (on && playhead === lastSecond()) moveTo(0);
  wake();
}

function step(sign, second) {
  setPlaying(false);
  const far = second ? active.rowAt(playhead + sign) : active.row;
  goTo(active, far === active.row ? active.row + sign : far);
}

function shiftSpeed(sign) {
  const speed = element("speed");
  speed.selectedIndex = Math.min(Math.max(speed.selectedIndex + sign, 0), speed.length - 1);
}

// -- selection

function activate(panel) {
  active = panel;
  for (const one of panels) one.root.classList.toggle("edited", one === panel && panels.length > 1);
  select(panel.selection);
}

function select(spans) {
  active.selection = spans;
  const sum = (value) => spans.reduce((all, [first, last]) => all + value(first, last), 0);
  const rows = count(sum((first, last) => last - first + 1), "row");
  const seconds = fixed(sum((first, last) => active.curves.endOf(last) - active.columns.seconds[first]), 1);
  write("selected", spans.length ? `${rows} in ${count(spans.length, "part")}, ${seconds} s` : "nothing is selected");
  wake();
}

// Selects from the playhead to a row, whichever is first.
function selectTo(row = active.row) {
  select([[Math.min(row, active.row), Math.max(row, active.row)]]);
}

// Selects the rows for which a condition holds for longer than some seconds.
function selectWhere(name, condition, longer = -1) {
  const { columns, info } = active, values = columns[name], spans = [];
  for (let row = 0, first = 0; values && row <= info.rows; row += 1) {
    if (row < info.rows && condition(values[row])) continue;
    if (row > first && columns.seconds[row - 1] - columns.seconds[first] > longer) spans.push([first, row - 1]);
    first = row + 1;
  }
  if (spans.length) goToSpans(active, spans);
  else announce(values ? "there are no such rows" : `the recording has no column ${name}`, true);
}

function editSelection(change, words) {
  const here = active.state.deleted.filter(([first, last]) => first <= active.row && active.row <= last);
  if (!active.selection.length && change === "restore") select(here); // where the playhead is
  if (!active.selection.length) announce("nothing is selected", true);
  else active.edit({ [change]: active.selection }, `${words}: ${element("selected").textContent}`);
}

function nextFinding() {
  const spans = active.marks().flat().sort(([one], [other]) => one - other);
  if (spans.length) goToSpans(active, [spans.find(([first]) => first > active.row) ?? spans[0]]);
  else announce("there is no finding");
}

// -- keys and mouse

const filter = (id) => Number(element(id).value);
const ACTIONS = { // by key, or by what a button has as its data-do
  " ": () => setPlaying(!playing), home: () => goTo(active, 0), end: () => goTo(active, active.info.rows - 1),
  arrowleft: (shift) => step(-1, shift), arrowright: (shift) => step(1, shift),
  arrowup: () => shiftSpeed(1), arrowdown: () => shiftSpeed(-1), ".": () => shiftSpeed(1), ",": () => shiftSpeed(-1),
  "+": () => zoom(.5), "=": () => zoom(.5), "-": () => zoom(2),
  a: () => pan((view.from - view.to) / 4), d: () => pan((view.to - view.from) / 4),
  1: () => panels[0].parts.slider.focus(), 2: () => panels[panels.length - 1].parts.slider.focus(), n: nextFinding,
  i: () => selectTo(active.selection[0]?.[1]), o: () => selectTo(active.selection[0]?.[0]),
  x: () => editSelection("delete", "deleted"), u: () => editSelection("restore", "restored"),
  z: () => active.edit({ undo: true }, "the last edit is undone"),
  escape: () => select([]),
  slow: () => (active.columns.speed ? selectWhere("speed", (mph) => mph < filter("slow"))
    : selectWhere("throttle", (throttle) => Math.abs(throttle) < LEAST_THROTTLE)), // as in a tub
  straight: () => selectWhere("steering", (steering) => steering === 0, filter("straight")),
  taken: () => selectWhere("take_over", (number) => number > 0),
};

function act(name, event) {
  if (!ACTIONS[name] || !active?.columns || !element("lost").hidden) return;
  announce("");
  ACTIONS[name](event.shiftKey);
  event.preventDefault();
}

function onKey(event) {
  const native = event.key === " " ? "button, input" : "select, [type=number], [type=range]";
  if (event.repeat && "xuz".includes(event.key.toLowerCase())) return; // an edit for each press
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches(native)) return;
  act(event.key.toLowerCase(), event);
}

function onClick(event) {
  const target = event.target.closest("button, [type=checkbox]");
  if (target?.dataset.do) act(target.dataset.do, event);
  if (event.detail) target?.blur(); // after a click with the mouse, Space is for playing
}

function watchCurves(panel) {
  const { curves, parts: { slider, scroll } } = panel, fingers = new Map(); // where they are, x
  let drag = null;
  const inside = (x) => Math.min(Math.max(x, LEFT), curves.width - 1); // a drag does not leave what is shown
  const seconds = (event) => curves.secondsAt(inside(event.offsetX));
  const spread = () => Math.max(...fingers.values()) - Math.min(...fingers.values()) + 1;
  slider.onwheel = (event) => {
    event.preventDefault();
    if (event.deltaX) pan(curves.secondsAt(event.deltaX) - curves.secondsAt(0));
    zoom(1.002 ** event.deltaY, seconds(event));
  };
  slider.onpointerdown = (event) => {
    slider.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event.offsetX);
    drag = { x: event.offsetX, row: panel.rowAt(seconds(event)), selects: event.offsetY < curves.axisAt, moved: false };
    const ends = panel.selection.flat().map((row) => Math.abs(curves.xOf(curves.seconds[row]) - drag.x));
    if (ends.length === 2 && Math.min(...ends) < GRIP) drag.row = panel.selection[0][ends[0] < ends[1] ? 1 : 0];
  };
  slider.onpointermove = (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = spread(), was = curves.secondsAt(fingers.get(event.pointerId)), row = panel.rowAt(seconds(event));
    fingers.set(event.pointerId, event.offsetX);
    drag.moved = drag.moved || fingers.size > 1 || Math.abs(event.offsetX - drag.x) > CLICK;
    drag.selects = drag.selects && fingers.size === 1;
    if (fingers.size > 1) return zoom(before / spread(), seconds(event));
    if (event.shiftKey) return pan(was - seconds(event));
    if (drag.moved && drag.selects) select([[Math.min(row, drag.row), Math.max(row, drag.row)]]);
    if (drag.moved) goTo(panel, row);
  };
  slider.onpointerup = (event) => { if (drag && !drag.moved) goTo(panel, panel.rowAt(seconds(event))); };
  slider.onlostpointercapture = (event) => fingers.delete(event.pointerId);
  scroll.oninput = () => pan(Number(scroll.value) - view.from);
}

async function start() {
  const answer = await fetch("panels").catch(() => null);
  showLost(answer);
  if (!answer?.ok) return setTimeout(start, POLL_MS);
  panels = (await answer.json()).map((info, number) => new Panel(number, info));
  element("panel-keys").hidden = panels.length < 2;
  activate(panels[0]);
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => pan(0));
start();
