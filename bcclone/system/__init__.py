"""What every room uses: atomic files, errors, settings, processes, interrupts, progress, hardware,
the doctor.
"""
