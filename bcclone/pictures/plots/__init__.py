"""Draw pictures of a model, its training and its drives: values in, PNG files out.

The import acts: matplotlib reads its settings when it is loaded, so they are reset here.
"""

import sys
from contextlib import chdir, nullcontext
from pathlib import Path

from bcclone.system.process import is_own_process

# if a program has loaded matplotlib before, it may have chosen a style, which stays
if "matplotlib" not in sys.modules:
    # a matplotlibrc in the current folder could make it wait, or start LaTeX
    has_settings = Path("matplotlibrc").exists()
    with chdir(Path(__file__).parent) if has_settings else nullcontext():
        import matplotlib
    if is_own_process():  # the user's own settings are for a program's figures, too
        matplotlib.rcdefaults()
