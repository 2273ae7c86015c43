"use strict";

// Mouse and fingers on the curves of a panel: a click moves the playhead, a drag selects rows or
// moves the playhead, the wheel or two fingers zoom.

const CLICK = 4; // px that a click may move
const GRIP = 7; // px at which the end of a selection is dragged
const ZOOM_A_PIXEL = 1.002; // of the wheel

function watchCurves(panel) {
  const { curves } = panel;
  const { slider, scroll } = panel.parts;
  const fingers = new Map(); // where they are, x
  let drag = null; // where it began, and whether it selects

  // a drag does not leave what is shown
  const inside = (x) => Math.min(Math.max(x, LEFT), curves.width - 1);
  const secondsOf = (event) => curves.secondsAt(inside(event.offsetX));
  const spread = () => Math.max(...fingers.values()) - Math.min(...fingers.values()) + 1;

  // Returns the row from which a drag selects: at an end of the selection, the other end.
  function firstRow(event) {
    const ends = panel.selection.flat();
    const row = panel.rowAt(secondsOf(event));
    if (ends.length !== 2) return row;
    const [toFirst, toLast] = ends.map(
      (end) => Math.abs(curves.xOf(curves.seconds[end]) - event.offsetX),
    );
    if (Math.min(toFirst, toLast) >= GRIP) return row;
    return toFirst < toLast ? ends[1] : ends[0];
  }

  slider.onwheel = (event) => {
    event.preventDefault();
    if (event.deltaX) pan(curves.secondsAt(event.deltaX) - curves.secondsAt(0));
    zoom(ZOOM_A_PIXEL ** event.deltaY, secondsOf(event));
  };

  slider.onpointerdown = (event) => {
    slider.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event.offsetX);
    const selects = event.offsetY < curves.axisAt; // on the axis, it moves the playhead
    drag = { x: event.offsetX, row: firstRow(event), selects, moved: false };
  };

  slider.onpointermove = (event) => {
    if (!fingers.has(event.pointerId)) return;
    const spreadBefore = spread();
    const secondsBefore = curves.secondsAt(fingers.get(event.pointerId));
    const seconds = secondsOf(event);
    fingers.set(event.pointerId, event.offsetX);
    const hasMoved = Math.abs(event.offsetX - drag.x) > CLICK;
    drag.moved = drag.moved || fingers.size > 1 || hasMoved;
    drag.selects = drag.selects && fingers.size === 1;
    if (fingers.size > 1) {
      zoom(spreadBefore / spread(), seconds);
      return;
    }
    if (event.shiftKey) {
      pan(secondsBefore - seconds);
      return;
    }
    if (!drag.moved) return;
    const row = panel.rowAt(seconds);
    if (drag.selects) select([[Math.min(row, drag.row), Math.max(row, drag.row)]]);
    goTo(panel, row);
  };

  slider.onpointerup = (event) => {
    if (drag && !drag.moved) goTo(panel, panel.rowAt(secondsOf(event)));
  };
  slider.onlostpointercapture = (event) => fingers.delete(event.pointerId);
  scroll.oninput = () => pan(Number(scroll.value) - view.from);
}
