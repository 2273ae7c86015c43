"""A cluster that the user runs with certificates, as docs/how-to/cluster.md says, lets nobody in
without them.
"""

import os
import re

import pytest

from bcclone.system.errors import UserError
from bcclone.system.pool import open_pool
from tests.dask_cluster import DaskCluster
from tests.processes import python, said
from tests.running import ROOT

PAGE = (ROOT / "docs/how-to/cluster.md").read_text()
PROGRAM = """
import sys
from bcclone.system.pool import open_pool, run_tasks
from tests.pool_tasks import square

with open_pool(scheduler=sys.argv[1]) as pool:
    print(list(run_tasks(pool, square, [3])))
"""


@pytest.mark.long
def test_a_cluster_with_certificates_runs_tasks_for_their_holders_only(tmp_path):
    (line,) = re.findall("^openssl .*$", PAGE, re.MULTILINE)
    said(*line.split(), cwd=tmp_path, check=True)
    (settings,) = re.findall("```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "dask").mkdir()
    (tmp_path / "dask" / "tls.yaml").write_text(settings.replace("/home/me/keys", str(tmp_path)))
    holders = pytest.MonkeyPatch()
    holders.setenv("DASK_CONFIG", str(tmp_path / "dask"))
    cluster = DaskCluster(tmp_path)
    try:
        cluster.start_scheduler("--protocol", "tls")
        cluster.start_worker()
        assert (
            python(PROGRAM, cluster.address, cwd=ROOT, env=os.environ, timeout=60) == "[(0, 9)]\n"
        )
        holders.undo()
        for address in (cluster.address, cluster.address.replace("tls", "tcp")):
            refused = pytest.raises(UserError, match="no Dask cluster answers")
            with refused, open_pool(scheduler=address):
                pass
    finally:
        holders.undo()
        cluster.close()
