"""Write recordings in the formats of other programs, and read them back.

An import is a pipeline (recording_import.py). The module of a format reads its source and yields
its rows (exchanged_rows.py); a table of another program says what its columns, units and times are,
or the user does (table.py, controls.py, times.py). Images become frames, from which
realcar/film.py may estimate the steering, and recording.run_folder writes the rows. An export goes
the other way, from recording_export.py to the module of a format. formats.py lists the formats;
docs/how-to/exchange.md says what each of them keeps.
"""
