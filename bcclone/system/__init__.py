"""What every package of bcclone uses: files, errors, settings, processes, interrupts, progress,
hardware, and `bcclone doctor`.
"""
