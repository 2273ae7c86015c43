"""Write recordings in the formats of other programs, and read them back.

An import is a pipeline (recording_import.py). The module of a format reads its source and yields
the values of each row under the names in FIELDS (exchanged_row.py), which row_of() checks; for
tables that another program wrote, foreign_table, control_table and table_times find the columns of
these values. framed_rows makes frames of the images; realcar/film_steering may estimate the
steering from them; recording.writer writes the rows. An export goes the other way, from
recording_export to the module of a format. exchange_settings lists the formats;
docs/how-to/exchange.md says what each of them keeps.
"""
