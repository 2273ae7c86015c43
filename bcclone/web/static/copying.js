"use strict";

// Buttons that copy the command beside them; browsers that do not trust the address have no
// clipboard.

const CAN_COPY = Boolean(navigator.clipboard);
const COPIED_MS = 3000; // how long a button says that it has copied

// button: stands beside the `code` with the command
function letCopy(button, onCopied = () => {}) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = "Copied";
    onCopied();
    setTimeout(() => { button.textContent = "Copy"; }, COPIED_MS);
  });
}
