"""Write recordings in the formats of other programs, and read them back.

One module for each format: csv_table, tub (donkeycar), lerobot with lerobot_reader.
docs/how-to/exchange.md says what each of them keeps.
"""
