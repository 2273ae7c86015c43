"""Which model of another program to import. Importing this loads nothing large, for --help."""

from dataclasses import dataclass
from pathlib import Path

from bcclone.dataset.preprocessing_text import PreprocessingText, scaling_of_text
from bcclone.system.settings import Checked, Force, SettingError, argument, setting


@dataclass(frozen=True)
class ImportModelSettings(Checked):
    """Which model to import, and what its file does not state."""

    old: Path = argument("a Keras .h5 or .keras file of another program")
    output: Path | None = setting(None, "the model file to write", shown="model.h5")
    # the types Force and PreprocessingText bring the help of these two
    force: Force = setting(False)
    preprocess: PreprocessingText | None = setting(None)
    recording: Path | None = setting(
        None,
        "find --preprocess: try the usual ones that fit the model on this recording, and rank "
        "them by their agreement with its steering; with -o, one that is clearly the best is "
        "used; of a given one, only its agreement is said",
        shown="none",
    )
    rescale: str | None = setting(
        None,
        "what a Lambda layer computes whose code is not recognised, such as 'x / 127.5 - 1'; see "
        "the script that trained the model",
        unit="FORMULA",
        shown="as recognised",
    )

    def validate(self) -> None:
        if self.rescale is not None:
            try:
                scaling_of_text(self.rescale)
            except ValueError as error:
                raise SettingError("{rescale} {value}", value=error) from None
