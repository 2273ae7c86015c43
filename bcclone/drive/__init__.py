"""Policy + telemetry -> controls: the decision (controller, driver), who drives (seat), what is seen and kept of it
(monitor, viewer, recorder), the sockets (wire), the page (dashboard), and all of it together (cockpit, server)."""
