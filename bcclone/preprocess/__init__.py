"""Recordings -> store: settings, plan (which rows and images), convert (decode, sample, write)."""

from bcclone.preprocess.convert import convert, stored_settings
from bcclone.preprocess.settings import Conversion, PreprocessSettings, Skip

__all__ = ["Conversion", "PreprocessSettings", "Skip", "convert", "stored_settings"]
