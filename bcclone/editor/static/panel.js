"use strict";

// One recording on the page: asks the server for its state, shows what was found and where the
// playhead is, and makes edits.

const POLL_MS = 1000;
const BUSY_POLL_MS = 300; // while faults are looked for, or a model is asked
const WORDS_MS = 100; // between two texts of a row: nobody reads figures sixty times a second
const AHEAD = 4; // rows that are fetched before they are played
const LOW_WINDOW = 800; // px of the height of a window in which curves are lower
const NARROW_WINDOW = 760; // px of its width
const CURVE_HEIGHT = 104; // px of the steering
const LOW_CURVE_HEIGHT = 72;
const NO_SPANS = [];
const FIGURES = { steering: 2, model: 2, speed: 1, throttle: 2 }; // digits
const DRIVERS = ["", "a person drives", "the model drives"];
const PLACES_SHOWN = 3; // spans of a finding whose times are listed
const PATH_FROM = 1.6; // camera heights ahead, of an estimated path that is drawn
const PATH_TO = 16;
const PATH_STEP = 0.4;

const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const list = (...texts) => texts.filter(Boolean).join("; ");

function make(tag, text, onclick) {
  return Object.assign(document.createElement(tag), { textContent: text, onclick });
}

// Returns a paragraph of less important text.
function note(text) {
  return Object.assign(make("p", text), { className: "note" });
}

// With which words a command begins, such as "bcclone", as the user has started this one.
const PROGRAMS = JSON.parse(document.body.dataset.programs);

// Returns the words of a line of the check, and the command at its end, if there is one.
function wordsAndCommand(text) {
  const sentence = asSentence(text);
  const begins = PROGRAMS.map((program) => sentence.indexOf(`: ${program} `));
  const begin = Math.max(...begins); // the last one, since a command may be the longer one's end
  if (begin < 0) return [sentence];
  return [sentence.slice(0, begin + 1), sentence.slice(begin + 2)];
}

// Returns what shows a line.
function partsOfLine(text) {
  const [words, command] = wordsAndCommand(text);
  if (!command) return [withOptions("span", words)];
  return [withOptions("span", words), commandBox(command)];
}

// Returns an element with a text, whose options, such as --road, are not broken at a hyphen.
function withOptions(tag, text) {
  const parts = text.split(/(--\S+)/);
  return filled(tag, "", ...parts.map((part, place) => {
    return place % 2 ? filled("span", "whole", part) : part;
  }));
}

function filled(tag, className, ...parts) {
  const made = Object.assign(make(tag), { className });
  made.append(...parts);
  return made;
}

// Returns a command with a button that copies it, where the browser allows that.
function commandBox(command) {
  const box = filled("span", "command", withOptions("code", command));
  if (!CAN_COPY) return box;
  const copy = Object.assign(make("button", "Copy"), { className: "copy" });
  letCopy(copy, () => announce("copied"));
  copy.setAttribute("aria-label", `copy ${command}`);
  box.append(copy);
  return box;
}

// Keeps a number and its unit on one line.
const unbroken = (text) => text.replace(/(\d) s\b/g, "$1\u00a0s");
const asSentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}`;

class Panel {
  constructor(number, info) {
    this.number = number;
    this.info = info; // what does not change, see docs/reference/page.md
    this.deleted = new Uint8Array(info.rows); // 1: the row is
    this.row = 0; // where the playhead is
    this.selection = []; // spans of rows
    this.places = new Map(); // fault -> its place among those that were found, which stays
    this.preview = NO_SPANS; // spans of rows that the remedy under the pointer takes
    this.shown = {}; // what each part of the page was built from, as text
    this.editsBegun = 0;
    this.wordsAt = 0; // ms
    this.lastEdit = Promise.resolve();
    this.build();
    const { under, curves, slider } = this.parts;
    this.curves = new Curves(under, curves, slider);
    this.frames = new Frames(`frames/${number}`, (row, pictures) => {
      this.showPictures(row, pictures);
    });
    new ResizeObserver(() => pan(0)).observe(this.parts.curvesBox);
    this.frames.want([0]);
    this.poll();
  }

  // Adds the panel to the page.
  build() {
    const { info } = this;
    this.root = element("panel").content.cloneNode(true).firstElementChild;
    this.parts = {};
    for (const part of this.root.querySelectorAll("[data-part]")) {
      this.parts[part.dataset.part] = part;
    }
    for (const camera of info.cameras) this.parts[camera].hidden = false;
    this.parts.cameras.classList.toggle("several", info.cameras.length > 1);
    this.parts.name.textContent = info.name;
    this.root.style.setProperty("--aspect", info.aspect);
    const isLow = panels.length > 1 || innerHeight < LOW_WINDOW || innerWidth < NARROW_WINDOW;
    this.curveHeight = isLow ? LOW_CURVE_HEIGHT : CURVE_HEIGHT;
    const lanes = [1, info.has_speed && 0.5, info.has_throttle && 0.5].filter(Boolean);
    const lanesHeight = lanes.reduce((sum, part) => sum + part * this.curveHeight + GAP, GAP / 2);
    const { under, curves, slider } = this.parts;
    for (const canvas of [under, curves, slider]) { // nothing moves when the curves are there
      canvas.style.height = `${lanesHeight + STRIP + AXIS}px`;
    }
    this.parts.slider.setAttribute("aria-label", `playhead of ${info.name}`);
    this.parts.slider.setAttribute("aria-valuemax", info.rows);
    this.buildFilm();
    element("panels").append(this.root);
    for (const type of ["pointerdown", "focusin"]) {
      this.root.addEventListener(type, () => activate(this));
    }
  }

  // Shows what only a film has: the angle of view, and the stretches that became no rows.
  buildFilm() {
    const { left_out: leftOut, film_lens: lens } = this.info;
    const items = leftOut.map((stretch) => {
      const from = stretch.first < 0 ? "before the first row" : `from ${clock(stretch.first)}`;
      const pictures = count(stretch.pictures, "picture");
      const item = make("li");
      const sentence = make("button", `${from}: ${pictures} left out, where ${stretch.reason}`, () => {
        activate(this);
        moveTo(Math.max(stretch.first, 0));
      });
      sentence.className = "sentence";
      item.append(sentence);
      return item;
    });
    this.parts.leftout.replaceChildren(...items);
    this.parts.leftoutBox.hidden = !items.length;
    const stretches = items.length === 1 ? "1 stretch" : `${items.length} stretches`;
    const pictures = leftOut.reduce((sum, stretch) => sum + stretch.pictures, 0);
    const title = `${stretches} of the film left out, ${count(pictures, "picture")}`;
    this.parts.leftoutTitle.textContent = title;
    this.parts.lens.hidden = !lens;
    this.parts.path.hidden = !this.info.has_path;
    this.parts.lensWords.hidden = !lens;
    if (!lens) return;
    this.parts.fov.value = lens.degrees;
    this.parts.fov.addEventListener("input", () => this.showLens());
  }

  // Says what the angle of view of the slider means, and draws the path with it.
  showLens() {
    const times = this.focalFactor() ** -2;
    const degrees = fixed(Number(this.parts.fov.value), 0);
    const isImported = Math.abs(times - 1) < 0.01;
    const change = isImported ? "as imported" : `steering ${fixed(times, 2)} times as strong`;
    const full = this.fullShare(times);
    this.parts.fovWords.textContent = list(
      `${degrees} degrees: ${change}`,
      full > this.info.greatest_full_share && `careful: full in ${fixed(100 * full, 0)} % of the rows`,
      !isImported && `import with --fov ${degrees}`,
    );
    this.drawn = null;
    wake();
  }

  // Returns the share of the rows whose steering, some times as strong, is full.
  fullShare(times) {
    const steering = this.columns?.steering ?? [];
    const full = steering.filter((value) => Math.abs(value) * times >= 1);
    return full.length / Math.max(steering.length, 1);
  }

  // Returns the focal length of the slider, divided by that of the import.
  focalFactor() {
    const lens = this.info.film_lens;
    const distance = (degrees) => {
      const half = degrees * Math.PI / 360;
      return lens.fisheye ? half : Math.tan(half);
    };
    return distance(lens.degrees) / distance(Number(this.parts.fov.value));
  }

  // -- the server

  async poll() {
    const editsBegun = this.editsBegun;
    const response = await fetch(`state/${this.number}`).catch(() => null);
    showLost(response);
    const text = response?.ok && await response.text().catch(() => "");
    const isOlder = this.isAsking || editsBegun !== this.editsBegun; // than the answer to an edit
    if (text && !isOlder && text !== this.polled) {
      this.polled = text;
      this.take(JSON.parse(text), "changed elsewhere");
    }
    if (this.state && this.state.curves !== this.shownCurves) {
      await this.fetchCurves().catch(() => null);
    }
    setTimeout(() => this.poll(), response && this.isBusy() ? BUSY_POLL_MS : POLL_MS);
  }

  isBusy() {
    if (!this.state) return false;
    const { model } = this.state;
    return this.isChecking() || model.done < model.of;
  }

  // news: what is announced if it has other edits.
  take(state, news) {
    for (const finding of state.check.findings) {
      if (!this.places.has(finding.fault)) this.places.set(finding.fault, this.places.size);
      finding.place = this.places.get(finding.fault);
    }
    state.check.findings.sort((one, other) => one.place - other.place);
    if (this.state && this.state.version !== state.version) announce(news);
    this.state = state;
    this.deleted.fill(0);
    for (const [first, last] of state.deleted) this.deleted.fill(1, first, last + 1);
    this.showState();
    this.drawCurves();
  }

  async fetchCurves() {
    const { curves } = this.state;
    const { head, take } = await readBinary(`curves/${this.number}`);
    this.columns = {};
    for (const [name, type, rows] of head.columns) {
      const numbers = take(4 * rows);
      this.columns[name] = type === "u4" ? new Uint32Array(numbers) : new Float32Array(numbers);
    }
    this.curves.take(this.columns, this.curveHeight);
    this.showState();
    showSelecting();
    if (!this.shownCurves) { // they are the first
      watchCurves(this);
      view.to = Infinity;
    }
    this.shownCurves = curves;
    if (this.info.film_lens) this.showLens();
    pan(0);
  }

  // Makes one edit after the other, since each is made of the state that the one before leaves.
  edit(change, words) {
    this.lastEdit = this.lastEdit.then(() => this.ask(change, words));
  }

  async ask(wish, words) {
    this.editsBegun += 1;
    this.isAsking = true;
    const body = JSON.stringify({ version: this.state.version, ...wish });
    const headers = { "Content-Type": "application/json" };
    const request = { method: "POST", headers, body };
    const response = await fetch(`edit/${this.number}`, request).catch(() => null);
    const failed = () => ({ error: `nothing was edited: error ${response.status}` });
    const answer = await response?.json().catch(failed);
    this.editsBegun += 1;
    this.isAsking = false;
    if (response?.ok) this.take(answer, words);
    if (answer?.state) this.take(answer.state, "");
    if (answer?.error) announce(answer.error, true);
  }

  // -- what was found

  showState() {
    const { check, kept, steering, edits } = this.state;
    const { parts, info } = this;
    const rows = `${kept.toLocaleString("en")} of ${count(info.rows, "row")} kept`;
    parts.kept.textContent = list(
      `${rows}; ${clock(info.seconds)} ${info.has_pauses ? "with pauses" : "in all"}`,
      steering && `steering ${steering}`,
      edits && count(edits, "edit"),
    );
    parts.verdict.textContent = unbroken(check.verdict || "Looking for faults");
    parts.verdict.dataset.mark = check.verdict ? check.mark : "";
    parts.verdict.classList.toggle("stale", Boolean(check.verdict) && this.isChecking());
    const key = document.activeElement?.dataset.key;
    this.showFirst();
    this.showFindings();
    this.showLines("unknown", check.unknown);
    this.showLines("next", check.record_next);
    this.showModel();
    const again = key && (this.keyed(key) ?? this.keyed(key.replace(/^\S+/, "sentence")));
    if (again && !this.root.contains(document.activeElement)) again.focus();
  }

  // Returns the button with this key, if it is there and can be pressed.
  keyed(key) {
    return this.root.querySelector(`[data-key="${CSS.escape(key)}"]:enabled`);
  }

  // Shows below the verdict how far the check has come, and in the same place what matters most: the
  // worst fault; or what was not judged; or the command that comes next.
  showFirst() {
    const { check } = this.state;
    const { bar, percent: words, progress, worst: worstBox, first } = this.parts;
    const isReading = check.done < check.of;
    const worst = check.findings.filter(({ fault }) => fault === check.worst);
    const isGood = check.mark === "good" && this.info.next;
    const instead = check.not_judged || (isGood ? `What comes next: ${this.info.next}` : "");
    progress.hidden = !this.isChecking();
    worstBox.hidden = this.isChecking() || !worst.length;
    first.hidden = this.isChecking() || Boolean(worst.length);
    this.rebuild("first", instead, () => (instead ? partsOfLine(instead) : []));
    first.querySelector(".copy")?.classList.add("primary");
    const isOneOfSeveral = check.findings.length > 1;
    this.rebuild("worst", [worst, this.isChecking(), isOneOfSeveral], () => (
      worst.map((finding) => this.worstItem(finding, isOneOfSeveral))
    ));
    if (isReading) bar.value = check.done / check.of;
    else bar.removeAttribute("value"); // it goes on, nobody knows how long
    words.textContent = isReading ? `looked at ${percent(check)} of the pictures` : "judging";
  }

  isChecking() {
    const { check } = this.state;
    return !this.columns || !check.verdict || check.stale; // a finding is shown with its times
  }

  // Builds a part of the page again if what it shows has changed; so that what the pointer is on
  // stays while the check goes on.
  rebuild(part, value, build) {
    const text = JSON.stringify(value);
    if (this.shown[part] === text) return;
    this.shown[part] = text;
    this.parts[part].replaceChildren(...build());
  }

  showFindings() {
    const findings = this.columns ? this.state.check.findings : [];
    const value = [findings, this.state.check.worst, this.isChecking()];
    this.parts.findingsBox.hidden = !findings.length;
    this.rebuild("findings", value, () => {
      this.showPreview(NO_SPANS);
      return findings.map((finding) => this.findingItem(finding));
    });
  }

  findingItem(finding) {
    const { fault, text, measured, rows, advice, button, cost } = finding;
    const more = [note(list(this.wordsOfPlaces(rows), measured.replace(/-(?=\d)/g, "−")))];
    if (advice) more.push(filled("p", "note", ...partsOfLine(advice)));
    if (fault === this.state.check.worst) { // whose button is below the verdict
      more.push(note(cost && `${button} ${cost}`));
    } else if (button) {
      more.push(filled("div", "remedy", this.remedyOf(finding, "remedy"), note(cost)));
    }
    return this.itemOf(finding, "sentence", asSentence(text), ...more);
  }

  // Returns the worst finding in short: what was found and what mends it.
  worstItem(finding, isOneOfSeveral) {
    const { text, advice, button } = finding;
    const words = isOneOfSeveral ? `Worst: ${text}` : asSentence(text);
    const remedy = button ? this.remedyOf(finding, "worst") : filled("p", "note", ...partsOfLine(advice));
    return this.itemOf(finding, "worst-sentence", words, remedy);
  }

  // Returns an item with the letter of a finding, a sentence that goes to its rows, and more.
  // role: of the sentence, so that it gets the focus again when it is built again
  itemOf({ fault, place, rows }, role, words, ...more) {
    const item = make("li");
    const badge = make("b", letterOf(place));
    badge.className = `badge mark-${markOf(place)}`;
    const body = make("div");
    const sentence = make("button", words, () => goToSpans(this, rows));
    sentence.className = "sentence";
    sentence.dataset.key = `${role} ${fault}`;
    body.append(sentence, ...more);
    item.append(badge, body);
    return item;
  }

  // Returns the button of a remedy; while the pointer is on it, the curves show what it takes.
  // role: as of a sentence
  remedyOf({ fault, remedy, button, takes }, role) {
    const remedied = make("button", unbroken(button), () => {
      this.edit({ remedy: fault }, `done: ${button}`);
    });
    remedied.title = remedy;
    if (role === "worst") remedied.className = "primary";
    remedied.disabled = this.isChecking(); // it is of the edits that the check has seen
    remedied.dataset.key = `${role} ${fault}`;
    const spans = takes.length ? takes : this.allRows();
    for (const type of ["pointerenter", "focus"]) {
      remedied.addEventListener(type, () => this.showPreview(spans));
    }
    for (const type of ["pointerleave", "blur"]) {
      remedied.addEventListener(type, () => this.showPreview(NO_SPANS));
    }
    return remedied;
  }

  showPreview(spans) {
    this.preview = spans;
    wake();
  }

  // Returns where the rows are: "0:38.5 to 0:43.4, and 3 more parts".
  wordsOfPlaces(spans) {
    if (!spans.length) return "in all rows";
    const shown = spans.slice(0, PLACES_SHOWN).map(([first, last]) => this.wordsOfSpan(first, last));
    const more = spans.length - shown.length;
    return shown.join(", ") + (more > 0 ? ` and ${count(more, "more part")}` : "");
  }

  wordsOfSpan(first, last) {
    const { seconds } = this.columns;
    return `${clock(seconds[first])} to ${clock(this.curves.endOf(last))}`;
  }

  allRows() {
    return [[0, this.info.rows - 1]];
  }

  // Shows the lines of the check that say what was not judged, or what to record next.
  showLines(part, lines) {
    this.parts[`${part}Box`].hidden = this.isChecking() || !lines.length;
    this.rebuild(part, lines, () => lines.map((line) => filled("li", "", ...partsOfLine(line))));
  }

  showModel() {
    const { model } = this.state;
    const { parts, info } = this;
    const steers = model.apart.length ? "steers differently in these parts:" : "steers alike";
    const asked = percent(model) && `has answered ${percent(model)}`;
    const words = model.error || asked || steers;
    parts.apartBox.hidden = !info.model;
    parts.model.textContent = `${info.model} ${words}`;
    const value = [model.apart, Boolean(this.columns)];
    this.rebuild("apart", value, () => (this.columns ? model.apart.map((part) => this.apartButton(part)) : []));
  }

  // Returns the button of a stretch in which the model steers differently.
  apartButton({ first, last, difference }) {
    const text = `${this.wordsOfSpan(first, last)}, by ${fixed(difference, 2)}`;
    const button = make("button", text, () => goToSpans(this, [[first, last]]));
    button.dataset.key = `apart ${first}`;
    return button;
  }

  // Returns each span of rows of these findings, with its finding, in order of time.
  marks() {
    const marks = this.state.check.findings.flatMap((finding) => {
      const spans = finding.rows.length ? finding.rows : this.allRows();
      return spans.map((span) => ({ span, finding }));
    });
    return marks.sort((one, other) => one.span[0] - other.span[0]);
  }

  drawCurves() {
    if (!this.columns) return;
    this.curves.draw(view, this.state.check, this.state.deleted);
    this.drawn = null;
    wake();
  }

  // -- the playhead

  rowAt(seconds) {
    if (!this.columns) return 0;
    return Math.max(countUpTo(this.columns.seconds, seconds) - 1, 0);
  }

  // Returns the first row from this one on that is played, or -1.
  playedFrom(row) {
    if (element("all").checked && row < this.info.rows) return row;
    return this.deleted.indexOf(0, row);
  }

  show(now) {
    if (!this.columns) return;
    const { columns, row } = this;
    this.curves.drawUnder(this.selection, this.preview);
    this.curves.drawOver(columns.seconds[row]);
    if (row !== this.drawn) {
      this.frames.want(this.rowsToFetch());
      const model = this.isKnown("model") ? columns.model[row] : null;
      drawDial(this.parts.dial, columns.steering[row], model);
      this.parts.over.hidden = !this.deleted[row];
      this.drawn = row;
    }
    if (now - this.wordsAt < WORDS_MS) {
      wake();
      return;
    }
    this.wordsAt = now;
    const words = this.wordsOfRow();
    this.parts.figures.replaceChildren(...words.map((text) => make("span", text)));
    this.parts.slider.setAttribute("aria-valuenow", row + 1);
    this.parts.slider.setAttribute("aria-valuetext", list(...words));
  }

  // Returns the row of the playhead, and while playing, those after it.
  rowsToFetch() {
    const rows = [this.row];
    while (playing && rows.length <= AHEAD) {
      const next = this.playedFrom(rows[rows.length - 1] + 1);
      if (next < 0) break;
      rows.push(next);
    }
    return rows;
  }

  isKnown(name) {
    return Number.isFinite(this.columns[name]?.[this.row]);
  }

  wordsOfRow() {
    const { columns, row } = this;
    const known = Object.keys(FIGURES).filter((name) => this.isKnown(name));
    const figures = known.map((name) => {
      const unit = name === "speed" ? " mph" : "";
      return `${name} ${fixed(columns[name][row], FIGURES[name])}${unit}`;
    });
    const words = [
      `row ${row + 1}`,
      columns.record && `record ${columns.record[row]}`,
      clock(columns.seconds[row]),
      this.deleted[row] && "deleted",
      ...figures,
      columns.take_over[row] && `take-over ${columns.take_over[row]}`,
      DRIVERS[columns.driver[row]],
    ];
    return words.filter(Boolean);
  }

  showPictures(row, pictures) {
    this.info.cameras.forEach((camera, index) => {
      const canvas = this.parts[camera];
      const picture = pictures[index];
      const context = canvas.getContext("2d");
      canvas.width = picture ? picture.width : 320;
      canvas.height = picture ? picture.height : 160;
      context.fillStyle = colors.sent;
      if (picture) context.drawImage(picture, 0, 0);
      else context.fillText("no picture", 12, 20);
      canvas.dataset.row = row;
      if (camera === "center") this.drawPath(canvas, context, row);
    });
  }

  // Draws the path of a film whose steering is estimated, with the angle of view of the slider.
  drawPath(canvas, context, row) {
    const estimated = this.columns?.path?.[row];
    if (!Number.isFinite(estimated)) return;
    const factor = this.info.film_lens ? this.focalFactor() : 1;
    const curvature = estimated / factor ** 2; // a longer lens shows less of a turn, and more way
    const { camera } = this.info;
    // the pixel of the end of the road stays where it is
    const ends = camera.map(([, , ofAhead]) => ofAhead);
    context.strokeStyle = colors.sent;
    context.lineWidth = 2;
    context.scale(canvas.width / 320, canvas.height / 160);
    for (let shown = PATH_FROM; shown <= PATH_TO; shown += PATH_STEP) {
      const ahead = shown * factor; // a longer lens shows the same pixels of a more distant road
      const right = curvature * (ahead * ahead / 2 + this.info.ahead * ahead);
      const [column, line, depth] = camera.map(
        ([ofRight, ofDown, ofAhead]) => ofRight * right + ofDown + ofAhead * ahead,
      );
      const away = [column / depth - ends[0] / ends[2], line / depth - ends[1] / ends[2]];
      context.lineTo(ends[0] / ends[2] + factor * away[0], ends[1] / ends[2] + factor * away[1]);
    }
    context.stroke();
  }
}

// Returns how much of something is done, "" for all.
function percent({ done, of }) {
  return done < of ? `${Math.floor(100 * done / of)} %` : "";
}
