"""Judge, frame by frame, whether a model sees something unlike its training frames.

    from bcclone.lab.monitor.fitting import fit
    from bcclone.lab.monitor.monitor import load_monitor
    from bcclone.lab.monitor.monitor_settings import MonitorSettings

    fit("model.h5", "data.h5", "model.monitor", MonitorSettings(kind="ensemble"))
    monitor = load_monitor("model.monitor", "model.h5")
    monitor.score(frame)  # RGB, uint8 (160, 320, 3); above monitor.threshold: uncertain

Monitors of several kinds have the same interface.
"""
