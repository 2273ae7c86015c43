"use strict";

// Follows a person's hands on keys, mouse, gamepad and touch pads. bcclone/drive/hands.py turns the
// input that this makes into steering and throttle.

const STEERING_KEYS = { ArrowLeft: -1, KeyA: -1, ArrowRight: 1, KeyD: 1 };
const THROTTLE_KEYS = { ArrowUp: 1, KeyW: 1, ArrowDown: -1, KeyS: -1 };
const SOURCES = ["keys", "mouse", "gamepad", "touch"];

// Several sources of one control: the one that changed last counts, and when it lets go, the one
// before.
class HandSources {
  constructor() {
    this.values = new Map(); // in the order of their last changes
  }

  // value: {position} or {key}, null: let go. Returns whether it changed.
  set(source, value) {
    const before = this.values.get(source) || null;
    if (JSON.stringify(before) === JSON.stringify(value)) return false;
    this.values.delete(source);
    if (value) this.values.set(source, value);
    return true;
  }

  get current() {
    return [...this.values.values()].at(-1) || {};
  }
}

const FULL_LOCK_OF_WINDOW = 1 / 6; // of its width that the mouse moves for full steering
const PAD_REACH = 1.25; // full steering is within the pad, since a thumb covers its edge
const DEAD_ZONE = .1; // of a stick, which never rests at 0 exactly
const NOISE = .01; // a smaller movement of a stick is none

// of a gamepad with the standard layout
const THROTTLE_BUTTONS = [7, 0]; // the right trigger, and A
const BRAKE_BUTTONS = [6, 1]; // the left trigger, and B

// Calls onChange(hands) with {steering, throttle, steering_key, throttle_key} whenever they
// change.
class HandControls {
  constructor(onChange) {
    this.onChange = onChange;
    this.steering = new HandSources();
    this.throttle = new HandSources();
    this.keys = new Map(); // code -> true, in the order in which they were pressed
    this.stick = [0, 0]; // steering and pedals of the gamepad
    addEventListener("keydown", (event) => this.onKeyDown(event));
    addEventListener("keyup", (event) => this.onKeyUp(event));
    addEventListener("blur", () => this.release());
    document.addEventListener("visibilitychange", () => document.hidden && this.release());
  }

  get hands() {
    const steering = this.steering.current;
    const throttle = this.throttle.current;
    return {
      steering: steering.position ?? null,
      throttle: throttle.position ?? null,
      steering_key: steering.key || 0,
      throttle_key: throttle.key || 0,
    };
  }

  // Takes all hands off; a key that is still held counts again when it is pressed again.
  release() {
    this.keys.clear();
    this.stick = [0, 0];
    let changed = false;
    for (const source of SOURCES) {
      if (this.steering.set(source, null)) changed = true;
      if (this.throttle.set(source, null)) changed = true;
    }
    if (changed) this.onChange(this.hands);
  }

  // Sets both controls of a source.
  set(source, steering, throttle) {
    const steered = this.steering.set(source, steering);
    const pedalled = this.throttle.set(source, throttle);
    if (steered || pedalled) this.onChange(this.hands);
  }

  // Sets one control of a source: `steering` or `throttle`.
  setOne(source, control, value) {
    if (this[control].set(source, value)) this.onChange(this.hands);
  }

  // -- keys

  onKeyDown(event) {
    if (!isDrivingKey(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target.matches && event.target.matches("input, select, textarea");
    if (isTyping) return; // the arrows move a slider that has the focus
    event.preventDefault(); // otherwise the arrows scroll the page
    if (event.repeat) return;
    this.keys.set(event.code, true);
    this.setKeys();
  }

  onKeyUp(event) {
    if (!isDrivingKey(event)) return;
    this.keys.delete(event.code);
    this.setKeys();
  }

  setKeys() {
    this.set("keys", this.latestKey(STEERING_KEYS), this.latestKey(THROTTLE_KEYS));
  }

  // Returns {key} of the key that was pressed last and is held, null without one.
  latestKey(directions) {
    const code = [...this.keys.keys()].filter((held) => held in directions).at(-1);
    return code ? { key: directions[code] } : null;
  }

  // -- mouse and touch

  // The mouse steers while its button is held on this element, as in the simulator.
  watchMouse(target) {
    let from = null; // where the button was pressed
    const steer = (event) => {
      const moved = (event.clientX - from) / (innerWidth * FULL_LOCK_OF_WINDOW);
      this.setOne("mouse", "steering", { position: clamp(moved) });
    };
    const end = () => {
      if (from === null) return;
      from = null;
      this.setOne("mouse", "steering", null);
    };
    target.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      from = event.clientX;
      target.setPointerCapture(event.pointerId);
      steer(event);
    });
    target.addEventListener("pointermove", (event) => from !== null && steer(event));
    target.addEventListener("pointerup", end);
    target.addEventListener("lostpointercapture", end);
  }

  // A thumb on this element controls `steering` (to the sides) or `throttle` (up, and down for the
  // brake).
  watchPad(target, control) {
    let thumb = null; // the id of its pointer
    const place = (event) => {
      const box = target.getBoundingClientRect();
      const right = (event.clientX - box.left) / box.width * 2 - 1;
      const up = 1 - (event.clientY - box.top) / box.height * 2;
      const reached = control === "steering" ? right : up;
      const shown = control === "steering" ? right : -up;
      this.setOne("touch", control, { position: clamp(reached * PAD_REACH) });
      target.style.setProperty("--thumb", String(clamp(shown)));
    };
    const end = (event) => {
      if (event.pointerId !== thumb) return;
      thumb = null;
      target.style.setProperty("--thumb", "0");
      this.setOne("touch", control, null);
    };
    target.addEventListener("pointerdown", (event) => {
      if (thumb !== null) return;
      thumb = event.pointerId;
      target.setPointerCapture(thumb);
      place(event);
    });
    target.addEventListener("pointermove", (event) => event.pointerId === thumb && place(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      target.addEventListener(name, end);
    }
  }

  // -- gamepads

  // Reads the gamepads; call it with every picture that the browser draws. They send no events.
  readGamepad() {
    const pads = [...navigator.getGamepads()];
    const pad = pads.find((candidate) => candidate && candidate.connected && candidate.axes.length);
    if (!pad) {
      this.set("gamepad", null, null);
      return;
    }
    const pushed = (buttons) => {
      const values = buttons.map((button) => pad.buttons[button]?.value ?? 0);
      return Math.max(...values);
    };
    const pedals = pushed(THROTTLE_BUTTONS) - pushed(BRAKE_BUTTONS);
    const next = [outside(pad.axes[0]), Math.abs(pedals) < DEAD_ZONE ? 0 : clamp(pedals)];
    this.stick = this.stick.map((before, index) => {
      const isNoise = Math.abs(next[index] - before) < NOISE && next[index] !== 0;
      return isNoise ? before : next[index];
    });
    const position = (value) => (value ? { position: value } : null);
    this.set("gamepad", position(this.stick[0]), position(this.stick[1]));
  }
}

function isDrivingKey(event) {
  return event.code in STEERING_KEYS || event.code in THROTTLE_KEYS;
}

function clamp(value) {
  return Math.min(Math.max(value, -1), 1);
}

// Returns the position of a stick outside its dead zone, from 0 on.
function outside(value) {
  const beyond = Math.max(Math.abs(value) - DEAD_ZONE, 0) / (1 - DEAD_ZONE);
  return clamp(Math.sign(value) * beyond);
}
