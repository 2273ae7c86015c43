"""Record drives with take-overs: the built-in expert is the person who takes over."""

from dataclasses import replace

from bcclone.drive.driver import Driver
from bcclone.drive.protocol import Telemetry
from bcclone.recording.run_tables import HUMAN, MODEL, DrivenBy
from bcclone.simulator.expert import BETWEEN_ROWS_SECONDS, CarRecording, Expert
from bcclone.simulator.render import Renderer
from bcclone.simulator.traced import RecordedWorld
from bcclone.simulator.track import load_track
from bcclone.simulator.world import SimulatedWorld
from bcclone.simulator.world_settings import Conditions, ExpertSettings
from bcclone.system.values import part_of


def record_take_overs(folder, policy, settings, beyond_m=1.5, tells_world=True):
    """Let a policy drive, and the expert take over where the car is farther from the middle.

    The expert gives the car back near the middle. Returns the number of take-overs.

    settings: EvaluateSettings
    """
    settings = replace(settings, set_back=False)
    track = load_track(settings.track, settings.reverse)
    renderer = Renderer(settings.track, settings)
    world = SimulatedWorld(renderer, track, settings)
    tracked = world.tracked
    speed = ExpertSettings(speed_mph=settings.speed_mph, wander_m=0.0, recoveries=0.0)
    expert = Expert(track, speed, seed=0)
    driver = Driver(policy, settings)
    told = RecordedWorld(settings.reverse, part_of(settings, Conditions)) if tells_world else None
    take_overs = 0
    by_person = False
    next_row = 0.0
    with CarRecording(folder, world=told) as writer:
        while (state := world.observe()) is not None:
            away_m = abs(tracked.position.cross_track_m)
            if not by_person and away_m > beyond_m:
                by_person = True
                take_overs += 1
            elif by_person and away_m < 0.3:
                by_person = False
            controls = expert.control(tracked.car, tracked.position)
            told_by_car = (state.steering_degrees, state.throttle, state.speed_mph, state.jpeg)
            of_model = driver.decide(Telemetry(*told_by_car)).control
            if not by_person:
                controls = (of_model.steering, of_model.throttle)
            world.steer(*controls)
            if tracked.seconds >= next_row:
                next_row += BETWEEN_ROWS_SECONDS
                car = replace(tracked.car, steering=controls[0])
                by = DrivenBy(HUMAN, take_overs) if by_person else DrivenBy(MODEL)
                writer.record(tracked.seconds, car, renderer.frames(car), tracked.trace_point, by)
    return take_overs
