"use strict";

// Minima and maxima of 2, 4, 8 and more values, which tell those of any range. NaN counts for
// nothing.
class Pyramid {
  constructor(values) {
    const size = values.length;
    this.size = size;
    this.low = new Float32Array(2 * size).fill(Infinity);
    this.high = new Float32Array(2 * size).fill(-Infinity);
    values.forEach((value, row) => {
      if (Number.isNaN(value)) return;
      this.low[size + row] = value;
      this.high[size + row] = value;
    });
    for (let node = size - 1; node > 0; node -= 1) {
      this.low[node] = Math.min(this.low[2 * node], this.low[2 * node + 1]);
      this.high[node] = Math.max(this.high[2 * node], this.high[2 * node + 1]);
    }
  }

  // Returns minimum and maximum from first to before end; Infinity and -Infinity where there is no
  // value.
  range(first, end) {
    let least = Infinity;
    let most = -Infinity;
    let left = this.size + first;
    let right = this.size + end;
    while (left < right) {
      // either may be of a pair that is not in the range
      least = Math.min(least, this.low[left], this.low[right - 1]);
      most = Math.max(most, this.high[left], this.high[right - 1]);
      left = (left + 1) >> 1;
      right >>= 1;
    }
    return [least, most];
  }
}

// Returns how many of some ascending values are up to the limit.
function countUpTo(values, limit) {
  let first = 0;
  let end = values.length;
  while (first < end) {
    const middle = (first + end) >> 1;
    if (values[middle] > limit) end = middle;
    else first = middle + 1;
  }
  return first;
}
