"""Drive the simulator's car with a trained model, over its socket protocol, with a web page.

    from bcclone.drive.drive_settings import DriveSettings
    from bcclone.drive.server import serve

serve(DriveSettings(...)) returns when it is stopped.
"""
