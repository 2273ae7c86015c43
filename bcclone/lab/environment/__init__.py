"""The simulator as Gymnasium environments: bcclone/Lake-v0, bcclone/Mountain-v0 and bcclone/Road-v0.

    import gymnasium
    import bcclone.lab.environment  # registers the environments

    env = gymnasium.make("bcclone/Lake-v0", height=64, width=64)

Importing this loads neither TensorFlow nor the renderer; the first environment loads the renderer. It needs Gymnasium:
pip install 'bcclone[gym]'.
"""

from bcclone.system.errors import UserError

try:
    from gymnasium.envs.registration import register, registry
except ImportError as error:
    raise UserError(f"Gymnasium is not installed ({error}); install it with: pip install 'bcclone[gym]'") from None

from bcclone.lab.environment.environment_settings import ACTIONS, OBSERVATIONS, EnvironmentSettings

__all__ = ["ACTIONS", "OBSERVATIONS", "EnvironmentSettings"]

for _name, _road in (("Lake", "lake"), ("Mountain", "mountain"), ("Road", "random:0")):
    if f"bcclone/{_name}-v0" not in registry:
        register(
            f"bcclone/{_name}-v0",
            entry_point="bcclone.lab.environment.driving_env:DrivingEnv",
            vector_entry_point="bcclone.lab.environment.vector_env:DrivingVectorEnv",
            kwargs={"road": _road},
        )
