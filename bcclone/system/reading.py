"""The earlier names of codec.py, until all rooms use those of today."""

from bcclone.system import codec
from bcclone.system.codec import UnfitFile as UnfitFile
from bcclone.system.codec import check_regular as check_regular
from bcclone.system.codec import parse_json as parse_json
from bcclone.system.codec import path_inside as path_inside

MOST_TABLE, MOST_JSON, MOST_IMAGE, MOST_MODEL = 1 << 31, 1 << 26, 1 << 26, 1 << 31
read_limited, open_limited = codec.read_bytes, codec.open_file
