"use strict";

// The page of one or two recordings: plays them, shows what the checker found, and cuts. They share
// the playhead and the part of the drive that the curves show, in seconds since the first row of
// each.

const LONGEST_MS = 300; // between two pictures: a page that was hidden plays on where it was
const LEAST_THROTTLE = 0.02; // of a car that drives
const SHORTEST_VIEW = 0.5; // seconds

let panels = [];
let active = null; // the panel that was used last, which is edited
let view = { from: 0, to: Infinity }; // seconds that the curves show
let playhead = 0; // seconds
let playing = false;
let isWaking = false; // a picture has been asked for
let tickedAt = 0; // ms, when the last one was drawn

function announce(text, isBad = false) {
  write("message", text);
  element("message").classList.toggle("bad", isBad);
}

// A server that is there again may have other recordings; one that asks for the token shows its
// form.
function showLost(response) {
  const isBack = response && !element("lost").hidden;
  if (response?.status === 401 || isBack) location.reload();
  element("lost").hidden = Boolean(response);
}

// -- view and playhead

function lastSecond() {
  const lasts = panels.map(({ columns }) => columns?.seconds[columns.seconds.length - 1] ?? 0);
  return Math.max(...lasts);
}

const viewSpan = () => view.to - view.from;
const pan = (seconds) => setView(view.from + seconds, viewSpan());

// at: seconds that stay where they are.
function zoom(factor, at = playhead) {
  setView(at - (at - view.from) * factor, viewSpan() * factor);
}

function setView(from, span) {
  const total = Math.max(lastSecond(), 0.1);
  const shown = Math.min(Math.max(span, SHORTEST_VIEW), total);
  const begin = Math.min(Math.max(from, 0), total - shown);
  view = { from: begin, to: begin + shown };
  for (const panel of panels) {
    const { scroll } = panel.parts;
    scroll.max = total - shown;
    scroll.value = begin;
    scroll.disabled = shown === total;
    panel.drawCurves();
  }
}

function moveTo(seconds) {
  playhead = seconds;
  for (const panel of panels) panel.row = panel.rowAt(seconds);
  const span = viewSpan();
  if (seconds < view.from) setView(seconds - 0.9 * span, span);
  else if (seconds > view.to) setView(seconds - 0.1 * span, span);
  wake();
}

function goTo(panel, row) {
  if (!panel.columns) return;
  const inside = Math.min(Math.max(row, 0), panel.info.rows - 1);
  moveTo(panel.columns.seconds[inside]);
  panel.row = inside; // of several at the same time
}

// Selects spans of rows, if there are any, and goes to the first.
function goToSpans(panel, spans) {
  activate(panel);
  select(spans);
  goTo(panel, spans.length ? spans[0][0] : 0);
}

function wake() {
  if (!isWaking) requestAnimationFrame(tick);
  isWaking = true;
}

function tick(now) {
  isWaking = false;
  if (playing) {
    const speed = Number(element("speed").value);
    play(Math.min(now - tickedAt, LONGEST_MS) / 1000 * speed);
  }
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

// Goes one row back or forth, or one second.
function step(sign, bySecond) {
  setPlaying(false);
  const far = bySecond ? active.rowAt(playhead + sign) : active.row;
  goTo(active, far === active.row ? active.row + sign : far);
}

function shiftSpeed(sign) {
  const speed = element("speed");
  speed.selectedIndex = Math.min(Math.max(speed.selectedIndex + sign, 0), speed.length - 1);
}

// -- selection

function activate(panel) {
  active = panel;
  for (const other of panels) {
    other.root.classList.toggle("edited", other === panel && panels.length > 1);
  }
  select(panel.selection);
}

function select(spans) {
  active.selection = spans;
  if (spans.length) announce("");
  write("selected", spans.length ? wordsOfSpans(spans) : "nothing is selected");
  element("selected").classList.toggle("nothing", !spans.length);
  wake();
}

function wordsOfSpans(spans) {
  const { curves, columns } = active;
  let rows = 0;
  let seconds = 0;
  for (const [first, last] of spans) {
    rows += last - first + 1;
    seconds += curves.endOf(last) - columns.seconds[first];
  }
  return `${count(rows, "row")} in ${count(spans.length, "part")}, ${fixed(seconds, 1)} s`;
}

// Selects from the playhead to a row, whichever is first.
function selectTo(row = active.row) {
  select([[Math.min(row, active.row), Math.max(row, active.row)]]);
}

// Selects the rows for which a condition holds for longer than some seconds.
function selectWhere(name, condition, longerThan = -1) {
  const values = active.columns[name];
  if (!values) {
    announce(`the recording has no column ${name}`, true);
    return;
  }
  const spans = spansWhere(values, condition, active.columns.seconds, longerThan);
  if (spans.length) goToSpans(active, spans);
  else announce("there are no such rows", true);
}

function spansWhere(values, condition, seconds, longerThan) {
  const spans = [];
  let first = 0; // row of the span that goes on
  for (let row = 0; row <= values.length; row += 1) {
    if (row < values.length && condition(values[row])) continue;
    const last = row - 1;
    if (last >= first && seconds[last] - seconds[first] > longerThan) spans.push([first, last]);
    first = row + 1;
  }
  return spans;
}

function editSelection(change, words) {
  if (!active.selection.length && change === "restore") select(deletedAtPlayhead());
  if (!active.selection.length) {
    announce("nothing is selected", true);
    return;
  }
  active.edit({ [change]: active.selection }, `${words}: ${element("selected").textContent}`);
}

function deletedAtPlayhead() {
  return active.state.deleted.filter(([first, last]) => first <= active.row && active.row <= last);
}

// Goes to the next part of a finding, if need be of the other recording, and says what was found.
function nextFinding() {
  const others = panels.filter((panel) => panel !== active);
  const panel = [active, ...others].find((one) => one.state && one.state.check.findings.length);
  if (!panel) {
    const isChecking = panels.some((one) => !one.state || one.isChecking());
    announce(isChecking ? "nothing is found so far; the check goes on" : "there is no finding");
    return;
  }
  const marks = panel.marks();
  const isActive = panel === active;
  const next = marks.find(({ span }) => isActive && span[0] > active.row) ?? marks[0];
  goToSpans(panel, [next.span]);
  announce(`${letterOf(next.finding.place)}: ${next.finding.text}`);
}

// -- selecting at once

const limitIn = (id) => Number(element(id).value);

const hasNoThrottle = (throttle) => Math.abs(throttle) < LEAST_THROTTLE;
const isStraight = (steering) => steering === 0;
const isTakenOver = (number) => number > 0;

function selectSlow() {
  if (!active.columns.speed) { // as in a tub
    selectWhere("throttle", hasNoThrottle);
    return;
  }
  const mph = limitIn("slow");
  selectWhere("speed", (speed) => speed < mph);
}

const selectStraight = () => selectWhere("steering", isStraight, limitIn("straight"));
const selectTakeOvers = () => selectWhere("take_over", isTakenOver);

// Shows the controls that have something to select in one of the recordings.
function showSelecting() {
  const shown = panels.map(({ columns }) => columns).filter(Boolean);
  const has = (name, condition) => shown.some((columns) => columns[name]?.some(condition));
  const hasSpeeds = shown.some(({ speed }) => speed);
  const rows = {
    "row-slow": hasSpeeds || has("throttle", hasNoThrottle),
    "row-straight": has("steering", isStraight),
    "row-taken": has("take_over", isTakenOver),
  };
  for (const [id, isShown] of Object.entries(rows)) element(id).hidden = !isShown;
  element("selecting").hidden = !Object.values(rows).some(Boolean);
  if (!hasSpeeds) write("slow-words", "without throttle");
}

function undo() {
  if (active.state.undoable) active.edit({ undo: true }, "the last edit is undone");
  else announce("there is no edit to undo");
}

// -- keys and mouse

const focusOn = (panel) => panel.parts.slider.focus();

const ACTIONS = { // by key, or by what a button has as its data-do
  " ": () => setPlaying(!playing),
  home: () => goTo(active, 0),
  end: () => goTo(active, active.info.rows - 1),
  arrowleft: (shift) => step(-1, shift),
  arrowright: (shift) => step(1, shift),
  arrowup: () => shiftSpeed(1),
  arrowdown: () => shiftSpeed(-1),
  ".": () => shiftSpeed(1),
  ",": () => shiftSpeed(-1),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  a: () => pan(-viewSpan() / 4),
  d: () => pan(viewSpan() / 4),
  1: () => focusOn(panels[0]),
  2: () => focusOn(panels[panels.length - 1]),
  n: nextFinding,
  i: () => selectTo(active.selection[0]?.[1]),
  o: () => selectTo(active.selection[0]?.[0]),
  x: () => editSelection("delete", "deleted"),
  u: () => editSelection("restore", "restored"),
  z: undo,
  escape: () => select([]),
  slow: selectSlow,
  straight: selectStraight,
  taken: selectTakeOvers,
  cut: () => showCutting(element("cut").ariaExpanded !== "true"),
};

// Shows the row of buttons that cut; a wide window always does.
function showCutting(isShown) {
  element("cut").ariaExpanded = isShown;
  element("cutting").classList.toggle("open", isShown);
}

// On a phone, speed and zoom are in the menu, so that one row is enough for playing.
const narrow = matchMedia("(max-width: 760px)");
const placeViewing = () => element(narrow.matches ? "in-menu" : "in-bar").append(element("viewing"));

function act(name, event) {
  if (!ACTIONS[name] || !active?.columns || !element("lost").hidden) return;
  announce("");
  if (isMoreOpen()) {
    if (name === "escape" || event.type === "click") element("more").hidePopover();
    if (event.type === "keydown") return; // what is behind the menu does not change unseen
  }
  ACTIONS[name](event.shiftKey);
  event.preventDefault();
}

const isMoreOpen = () => element("more").matches(":popover-open");

function onKey(event) {
  const key = event.key.toLowerCase();
  const native = key === " " ? "button, input, summary" : "select, [type=number], [type=range]";
  if (event.repeat && "xuz".includes(key)) return; // an edit for each press
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches(native)) return;
  act(key, event);
}

function onClick(event) {
  const target = event.target.closest("button, [type=checkbox]");
  if (target?.dataset.do) act(target.dataset.do, event);
  if (event.detail) target?.blur(); // after a click with the mouse, Space is for playing
}

async function start() {
  const response = await fetch("panels").catch(() => null);
  showLost(response);
  if (!response?.ok) {
    setTimeout(start, POLL_MS);
    return;
  }
  const recordings = await response.json();
  panels = recordings.map((info, number) => new Panel(number, info));
  element("panel-keys").hidden = panels.length < 2;
  activate(panels[0]);
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => pan(0));
narrow.addEventListener("change", placeViewing);
placeViewing();
start();
