"use strict";

// What a report does: its clip is played below the picture, whose numbers nothing covers; the car
// on the map follows the clip; commands are copied; Escape closes the meaning of a word. Without
// scripts, the report can be read as well.

const video = document.querySelector("video");
const car = document.getElementById("car");

if (video) playBelow();
if (video && car) follow();
if (CAN_COPY) document.querySelectorAll(".copy").forEach(showCopy);
document.querySelectorAll("dfn").forEach(openAgain);
document.addEventListener("keydown", closeMeanings);

// Puts a button and a slider below the clip, instead of the browser's controls on it.
function playBelow() {
  const button = document.getElementById("play");
  const place = document.getElementById("place");
  video.controls = false;
  document.getElementById("player").classList.remove("by-script");
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) video.pause();
  const showState = () => {
    button.textContent = video.paused ? "Play" : "Pause";
  };
  button.addEventListener("click", () => {
    if (video.paused) video.play();
    else video.pause();
  });
  place.addEventListener("input", () => {
    video.currentTime = place.value * video.duration;
  });
  video.addEventListener("play", showState);
  video.addEventListener("pause", showState);
  const showPlace = () => {
    if (!place.matches(":active")) place.value = video.currentTime / video.duration || 0;
    const [now, end] = [video.currentTime, video.duration || 0].map(Math.round);
    place.setAttribute("aria-valuetext", `${now} of ${end} s`);
  };
  for (const type of ["timeupdate", "seeking", "loadedmetadata"]) {
    video.addEventListener(type, showPlace);
  }
  showState();
  showPlace();
}

// Moves the car along the driven line as the clip is played.
function follow() {
  const line = document.querySelector("#map .driven");
  const points = Array.from(line.points, ({ x, y }) => ({ x, y }));
  const step = Number(line.dataset.step); // seconds between two points
  const move = () => {
    const at = Math.min(video.currentTime / step, points.length - 1);
    const before = points[Math.floor(at)];
    const after = points[Math.ceil(at)];
    const part = at % 1;
    car.setAttribute("cx", before.x + part * (after.x - before.x));
    car.setAttribute("cy", before.y + part * (after.y - before.y));
    requestAnimationFrame(move);
  };
  move();
}

function showCopy(button) {
  button.classList.remove("by-script");
  letCopy(button);
}

// -- the meanings of words, which are shown while the pointer or the focus is on the word

function closeMeanings({ key }) {
  if (key !== "Escape") return;
  document.querySelectorAll("dfn").forEach((word) => word.classList.add("closed"));
}

// Lets a meaning that was closed be shown the next time.
function openAgain(word) {
  for (const type of ["pointerenter", "focus"]) {
    word.addEventListener(type, () => word.classList.remove("closed"));
  }
}
