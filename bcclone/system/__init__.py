"""What every package of bcclone uses: atomic files, errors, settings, processes, interrupts,
progress, hardware, the doctor.
"""
