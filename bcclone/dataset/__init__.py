"""Make samples of recorded rows, and convert them to a store: rows -> samples -> store.

    from bcclone.dataset.conversion import convert
    from bcclone.dataset.sample_settings import PreprocessSettings

    conversion = convert(PreprocessSettings(("recordings/lake",), Path("data.h5")), print)

Errors that the user can mend are UserErrors, with file and row.
"""
