"""Policy + telemetry -> controls: the decision (controller, driver), what is kept of it (recorder), the wire
(dialect, server)."""
