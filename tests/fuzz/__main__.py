"""Fuzz the readers of bcclone: `python -m tests.fuzz [READER ...] --seconds 600 -o counts.json`.

Prints a table, and what did not hold, with the number of its try.
"""

import argparse
import json
import sys
from pathlib import Path

from bcclone.system.files import write_text
from tests.fuzz.fuzzing import fuzz
from tests.fuzz.readers import READERS


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "readers", nargs="*", metavar="READER", help=f"by default all: {', '.join(READERS)}"
    )
    parser.add_argument("--seconds", type=float, default=60, help="for each reader (default 60)")
    parser.add_argument(
        "--tries", type=int, default=10**9, help="most tries for each reader (default: no limit)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, help="write the counts as JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.readers) - set(READERS):
        parser.error(
            f"no reader {', '.join(sorted(unknown))}; the readers are {', '.join(READERS)}"
        )
    counts = []
    print(f"{'reader':<12}{'tries':>8}{'read':>8}{'refused':>9}{'failed':>8}", flush=True)
    for name in arguments.readers or READERS:
        count = fuzz(READERS[name], arguments.seed, arguments.seconds, arguments.tries)
        counts.append(count)
        print(
            f"{name:<12}{count.tries:>8}{count.read:>8}{count.refused:>9}"
            f"{count.tries - count.held:>8}",
            flush=True,
        )
        for kind, failures in count.failures.items():
            for failure in failures[:8]:
                print(f"    {kind}: {failure}", flush=True)
    if arguments.output:
        document = {
            "seconds": arguments.seconds,
            "seed": arguments.seed,
            "counts": [each.as_json() for each in counts],
        }
        write_text(arguments.output, json.dumps(document, indent=2) + "\n")
    return int(any(count.tries > count.held for count in counts))


if __name__ == "__main__":
    sys.exit(main())
