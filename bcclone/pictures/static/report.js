"use strict";

// What a report does: its clip is played below the picture, whose numbers nothing covers; the car
// on the map follows the clip; commands are copied. Without scripts, the report can be read as well.

const video = document.querySelector("video");
const car = document.getElementById("car");

if (video) playBelow();
if (video && car) follow();
if (CAN_COPY) document.querySelectorAll(".copy").forEach(showCopy);

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
  video.addEventListener("timeupdate", () => {
    if (!place.matches(":active")) place.value = video.currentTime / video.duration;
  });
  showState();
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
