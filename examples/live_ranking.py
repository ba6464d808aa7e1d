"""Prints an experiment's ranking after each change, until the experiment has a conclusion.

Run it as `live_ranking.py EXPERIMENT METRIC`.
"""

import sys

import podium

with podium.Client() as client, client.experiment(sys.argv[1]).follow() as live:
    while True:
        state = live.state
        print(state.rank(sys.argv[2], status=list(podium.ArmStatus)), flush=True)
        if state.experiment is not None and state.experiment.conclusion:
            break
        live.wait_for(state.revision + 1)  # returns at the next change, without polling
