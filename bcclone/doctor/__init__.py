"""Check whether this machine can run bcclone: `examine(DoctorSettings())` returns an `Examination`.

Nothing is changed, downloaded or printed. It works without any installed package.
"""

from bcclone.doctor.check import Check
from bcclone.doctor.run import DoctorSettings, Examination, examine

__all__ = ["Check", "DoctorSettings", "Examination", "examine"]
