"""Drive the simulator's car with a trained model, over its socket protocol, with a web page.

    from bcclone.drive.drive import serve
    from bcclone.drive.drive_settings import DriveSettings

serve(DriveSettings(...)) returns when it is stopped.

A telemetry takes this way: web/websocket reads its text, protocol parses it, and cars hands it to
the arbiter. If its car drives, the driver decodes the picture, asks the policy for an answer and
the controller for the throttle, and lets a person's hands take over. The reply goes back through
protocol and web/websocket; cars then passes it to the recorder and to stats.
"""
