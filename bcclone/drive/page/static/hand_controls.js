"use strict";

// Follows a person's hands on keys, mouse, gamepad and touch pads. bcclone/drive/wheel.py turns the input that this
// makes into steering and throttle.

const STEERING_KEYS = { ArrowLeft: -1, KeyA: -1, ArrowRight: 1, KeyD: 1 };
const THROTTLE_KEYS = { ArrowUp: 1, KeyW: 1, ArrowDown: -1, KeyS: -1 };
const FULL_LOCK_OF_WINDOW = 1 / 6; // of its width that the mouse moves for full steering
const DEAD_ZONE = .1; // of a stick, which never rests at 0 exactly
const NOISE = .01; // a smaller movement of a stick is none

// Several sources of one control: the one that changed last counts, and when it lets go, the one before.
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

// Calls onChange(hands, event) with {steering, throttle, steering_key, throttle_key} whenever they change.
class HandControls {
  constructor(onChange) {
    this.onChange = onChange;
    this.steering = new HandSources();
    this.throttle = new HandSources();
    this.keys = new Map(); // code -> true, in the order in which they were pressed
    this.stick = [0, 0];
    addEventListener("keydown", (event) => this.onKey(event, true));
    addEventListener("keyup", (event) => this.onKey(event, false));
    addEventListener("blur", () => this.release());
    document.addEventListener("visibilitychange", () => document.hidden && this.release());
  }

  get hands() {
    const steering = this.steering.current, throttle = this.throttle.current;
    return {
      steering: steering.position ?? null, throttle: throttle.position ?? null,
      steering_key: steering.key || 0, throttle_key: throttle.key || 0,
    };
  }

  // Takes all hands off; a key that is still held counts again when it is pressed again.
  release() {
    this.keys.clear();
    const sources = ["keys", "mouse", "gamepad", "touch"];
    const changed = sources.map((source) => [this.steering.set(source, null), this.throttle.set(source, null)]);
    this.stick = [0, 0];
    if (changed.flat().some(Boolean)) this.onChange(this.hands, null);
  }

  change(steered, pedalled, event) {
    if (steered || pedalled) this.onChange(this.hands, event);
  }

  onKey(event, down) {
    if (!(event.code in STEERING_KEYS || event.code in THROTTLE_KEYS)) return;
    if (down && (event.ctrlKey || event.metaKey || event.altKey)) return;
    const typing = event.target.matches && event.target.matches("input, select, textarea");
    if (down && typing) return; // the arrows move a slider that has the focus
    if (down) event.preventDefault(); // otherwise the arrows scroll the page
    if (event.repeat) return;
    if (down) this.keys.set(event.code, true);
    else this.keys.delete(event.code);
    const latest = (codes) => [...this.keys.keys()].filter((code) => code in codes).map((code) => codes[code]).at(-1);
    const key = (codes) => (latest(codes) ? { key: latest(codes) } : null);
    this.change(this.steering.set("keys", key(STEERING_KEYS)), this.throttle.set("keys", key(THROTTLE_KEYS)), event);
  }

  // The mouse steers while its button is held on this element, as in the simulator.
  watchMouse(target) {
    let from = null;
    const steer = (event) => {
      const moved = (event.clientX - from) / (innerWidth * FULL_LOCK_OF_WINDOW);
      this.change(this.steering.set("mouse", { position: clamp(moved) }), false, event);
    };
    const end = (event) => {
      from = null;
      this.change(this.steering.set("mouse", null), false, event);
    };
    target.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      from = event.clientX;
      target.setPointerCapture(event.pointerId);
      steer(event);
    });
    target.addEventListener("pointermove", (event) => from !== null && steer(event));
    target.addEventListener("pointerup", (event) => from !== null && end(event));
    target.addEventListener("lostpointercapture", (event) => from !== null && end(event));
  }

  // A thumb on this element controls `steering` (to the sides) or `throttle` (up, and down for the brake).
  watchPad(target, control) {
    let thumb = null;
    const place = (event) => {
      const box = target.getBoundingClientRect();
      const across = (event.clientX - box.left) / box.width * 2 - 1, up = 1 - (event.clientY - box.top) / box.height * 2;
      this.changePad(control, { position: clamp((control === "steering" ? across : up) * 1.25) }, event);
      target.style.setProperty("--thumb", String(clamp(control === "steering" ? across : -up)));
    };
    const end = (event) => {
      if (event.pointerId !== thumb) return;
      thumb = null;
      target.style.setProperty("--thumb", "0");
      this.changePad(control, null, event);
    };
    target.addEventListener("pointerdown", (event) => {
      if (thumb !== null) return;
      thumb = event.pointerId;
      target.setPointerCapture(thumb);
      place(event);
    });
    target.addEventListener("pointermove", (event) => event.pointerId === thumb && place(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) target.addEventListener(name, end);
  }

  changePad(control, value, event) {
    const changed = this[control].set("touch", value);
    this.change(changed && control === "steering", changed && control === "throttle", event);
  }

  // Reads the gamepads; call it with every picture that the browser draws. They send no events.
  readGamepad() {
    const pad = [...navigator.getGamepads()].find((one) => one && one.connected && one.axes.length);
    if (!pad) {
      this.change(this.steering.set("gamepad", null), this.throttle.set("gamepad", null), null);
      return;
    }
    const pushed = (button) => (pad.buttons[button] ? pad.buttons[button].value : 0);
    const pedals = Math.max(pushed(7), pushed(0)) - Math.max(pushed(6), pushed(1));
    const next = [outside(pad.axes[0]), Math.abs(pedals) < DEAD_ZONE ? 0 : clamp(pedals)];
    this.stick = this.stick.map((before, index) => (
      Math.abs(next[index] - before) < NOISE && next[index] !== 0 ? before : next[index]));
    const position = (value) => (value ? { position: value } : null);
    this.change(
      this.steering.set("gamepad", position(this.stick[0])), this.throttle.set("gamepad", position(this.stick[1])), null);
  }
}

function clamp(value) {
  return Math.min(Math.max(value, -1), 1);
}

// Returns the position of a stick outside its dead zone, from 0 on.
function outside(value) {
  const beyond = Math.max(Math.abs(value) - DEAD_ZONE, 0) / (1 - DEAD_ZONE);
  return clamp(Math.sign(value) * beyond);
}
