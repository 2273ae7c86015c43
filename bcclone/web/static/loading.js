"use strict";

// Asks what the server does until its page is there, tells it, and then loads that page. The server
// answers when it does something else, and at least once a second. This runs before the app of the
// server exists, so it uses no other script.

const ASK_MS = 100; // from an answer to the next question
const ASK_AGAIN_MS = 1000; // after none
const ANSWER_MS = 3000; // longest wait for an answer
const SILENT = "bcclone does not answer any more: its terminal says why.";
const openedAt = performance.now();

async function ask() {
  const answer = await fetch("state", { signal: AbortSignal.timeout(ANSWER_MS) }).catch(() => null);
  if (answer && answer.status !== 503) {
    location.reload(); // the page, or the form that asks for the token
    return;
  }
  const step = answer ? await answer.text().catch(() => SILENT) : SILENT;
  const line = document.getElementById("step");
  if (line.textContent !== step) line.textContent = step; // screen readers read what changes
  document.body.classList.toggle("silent", step === SILENT);
  const seconds = Math.round((performance.now() - openedAt) / 1000);
  document.getElementById("waited").textContent = `${seconds} s so far.`;
  setTimeout(ask, answer ? ASK_MS : ASK_AGAIN_MS);
}

ask();
