"""Write recordings in the formats of other programs, and read them back.

An import takes a row this way: the module of a format reads its source and yields the values of
each row under the names of FIELDS (formats.py); control_columns, foreign_table and table_times find
and convert them in tables of others; row_of() checks them; recording_import fits the images and
writes the row with recording.writer. An export goes the other way, from recording_export to the
module of a format. exchange_settings lists the formats; docs/how-to/exchange.md says what each of
them keeps.
"""
