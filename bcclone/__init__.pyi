"""What `import bcclone` offers; __init__.py reads this file, so each name is listed once, on a line of its own."""
# ruff: noqa: I001

from bcclone.cluster.cluster_settings import ShardingSettings as ShardingSettings
from bcclone.cluster.shards import open_if_store as open_if_store
from bcclone.cluster.shards import open_store as open_store
from bcclone.commands.data import convert as convert
from bcclone.dataset.answer import Answer as Answer
from bcclone.diagnosis.check import check as check
from bcclone.dataset.sample_settings import PreprocessSettings as PreprocessSettings
from bcclone.dataset.preprocessing import Preprocessing as Preprocessing
from bcclone.dataset.sample_settings import SampleSettings as SampleSettings
from bcclone.dataset.store import Store as Store
from bcclone.drive.controller import SpeedSettings as SpeedSettings
from bcclone.drive.drive_settings import DriveSettings as DriveSettings
from bcclone.drive.driver import SteeringPolicy as SteeringPolicy
from bcclone.drive.server import serve as serve
from bcclone.evaluation.evaluate_settings import EvaluateSettings as EvaluateSettings
from bcclone.evaluation.evaluate_settings import ReplaySettings as ReplaySettings
from bcclone.evaluation.evaluate_settings import SuiteSettings as SuiteSettings
from bcclone.evaluation.evaluate import evaluate as evaluate
from bcclone.evaluation.evaluate import evaluate_policy as evaluate_policy
from bcclone.evaluation.predict import predict as predict
from bcclone.evaluation.prediction_score import score as score
from bcclone.evaluation.evaluate_settings import PredictSettings as PredictSettings
from bcclone.evaluation.evaluate_settings import ScoreSettings as ScoreSettings
from bcclone.evaluation.replay import replay as replay
from bcclone.evaluation.suite import evaluate_suite
from bcclone.feed.keras_sequence import SampleDataset as SampleDataset
from bcclone.research.environment import EnvironmentSettings as EnvironmentSettings
from bcclone.research.environment.driving_env import DrivingEnv
from bcclone.model.model_file import load_model_file
from bcclone.model.model_file import save_model as save_model
from bcclone.model.policy import load_policy as load_policy
from bcclone.pictures.plot_settings import PlotSettings as PlotSettings
from bcclone.pictures.plots.all_pictures import draw_all
from bcclone.pictures.clip import make_clip as make_clip
from bcclone.pictures.clip_settings import ClipSettings as ClipSettings
from bcclone.pictures.clip_settings import Pace as Pace
from bcclone.game.play_server import play as play
from bcclone.game.play_settings import PlaySettings as PlaySettings
from bcclone.simulator.record import record as record
from bcclone.simulator.road_plan import RoadRules as RoadRules
from bcclone.simulator.road_plan import judge_road as judge_road
from bcclone.simulator.world_settings import Conditions as Conditions
from bcclone.simulator.world_settings import ExpertSettings as ExpertSettings
from bcclone.simulator.world_settings import RecordSettings as RecordSettings
from bcclone.simulator.world_settings import ServerSettings as ServerSettings
from bcclone.simulator.world_settings import WorldSettings as WorldSettings
from bcclone.system.errors import UserError as UserError
from bcclone.training.train import resume as resume
from bcclone.training.train import run
from bcclone.training.train_settings import RunFiles as RunFiles
from bcclone.training.train_settings import TrainSettings as TrainSettings

Simulator = DrivingEnv
load_model = load_model_file
plot = draw_all
suite = evaluate_suite
train = run
__version__: str
